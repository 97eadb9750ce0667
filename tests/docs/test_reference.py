"""The documents say what the code does: schemas, tables, commands and links."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from servelens.engine.methods import METHODS
from servelens.protocol import KEYS, STATUS
from servelens.reference import wanted


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in wanted()])
def test_what_is_generated_is_what_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == wanted()[path], "run scripts/reference"


def test_a_drifted_file_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from servelens import reference

    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.setattr(reference, "SCHEMAS", tmp_path / "schemas")
    (tmp_path / "README.md").write_text("<!-- methods: generated -->\nold\n<!-- end -->\n")
    assert reference.main(["--check"]) == 1
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    assert "`grad_cam`" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("name", ["request", "document", "problem", "capability"])
def test_the_schemas_are_valid_json_schema(root: Path, name: str) -> None:
    schema = json.loads((root / "docs" / "schemas" / f"{name}.json").read_text())
    Draft202012Validator.check_schema(schema)


def test_every_method_key_and_problem_is_documented(root: Path) -> None:
    readme = (root / "README.md").read_text()
    protocol = (root / "docs" / "protocol.md").read_text()
    assert [name for name in METHODS if f"`{name}`" not in readme] == []
    assert [key.name for key in KEYS if f"`{key.name}`" not in protocol] == []
    assert [name for name in STATUS if f"`{name}`" not in protocol] == []


def test_every_script_that_the_documents_name_answers_to_help(root: Path) -> None:
    named = set()
    for document in [root / "README.md", root / "CONTRIBUTING.md", *root.glob("docs/*.md")]:
        named |= set(re.findall(r"scripts/([a-z]+)", document.read_text()))
    assert named == {path.name for path in (root / "scripts").iterdir()}
    for name in sorted(named):
        answer = subprocess.run(
            [root / "scripts" / name, "--help"], capture_output=True, text=True, check=True
        )
        assert name in answer.stdout, name


def test_links_between_documents_lead_somewhere(root: Path) -> None:
    for document in [root / "README.md", root / "CONTRIBUTING.md", *root.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
