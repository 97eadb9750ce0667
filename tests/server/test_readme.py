"""What the README shows of Python and of the shell, run on the demo's models as it stands there."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from servelens.local import TorchServe
from servelens_archives.builder import build
from servelens_archives.recipe import load_recipe

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@pytest.fixture(scope="module")
def demo(root: Path, tmp_path_factory: pytest.TempPathFactory, start_server) -> TorchServe:  # type: ignore[no-untyped-def]
    store = tmp_path_factory.mktemp("demo")
    build(load_recipe(root / "archives" / "recipes" / "shapes-shortcut.toml"), store)
    server: TorchServe = start_server(store, "shapes-shortcut.mar")
    return server


@pytest.fixture
def environ(demo: TorchServe, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setenv("SERVELENS_URL", demo.url)
    monkeypatch.setenv("SERVELENS_MANAGEMENT_URL", str(demo.client.management))
    monkeypatch.setenv("SERVELENS_KEY_FILE", str(demo.key_file))
    monkeypatch.setenv("COLUMNS", "120")
    bin_folder = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")


def section(root: Path, title: str, kind: str) -> str:
    text = (root / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {title}\n.*?^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def assert_alike(got: str, shown: str) -> None:
    """The same words, and numbers as near as another machine's arithmetic leaves them."""
    words, theirs = (NUMBER.sub("#", " ".join(text.split())) for text in (got, shown))
    assert words == theirs
    numbers = [[float(n) for n in NUMBER.findall(text)] for text in (got, shown)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=0.002)


@pytest.mark.usefixtures("environ")
def test_from_python(root: Path, demo: TorchServe, tmp_path: Path) -> None:
    shown = section(root, "From Python", "python")
    code = shown.replace("http://127.0.0.1:8080", demo.url).replace('"out/', f'"{tmp_path}/')
    said = io.StringIO()
    with contextlib.chdir(root), contextlib.redirect_stdout(said):
        exec(compile(code, "README.md", "exec"), {})
    printed = re.findall(r"^(?:print\(.*\)  )?# (.*)$", shown, re.MULTILINE)
    assert_alike(said.getvalue(), "\n".join(printed))
    assert (tmp_path / "square" / "manifest.json").is_file()


@pytest.mark.usefixtures("environ")
def test_from_the_shell(root: Path, tmp_path: Path) -> None:
    shown = section(root, "From the shell", "console")
    for part in shown.split("$ ")[1:]:
        command, _, answer = part.partition("\n")
        done = subprocess.run(
            command.replace(" out", f" {tmp_path}/out"),
            shell=True,
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert_alike(done.stdout.replace(f"{tmp_path}/", ""), answer)
