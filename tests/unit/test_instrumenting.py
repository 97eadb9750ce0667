"""An archive that exists, with a lens and without it again: nothing of it is lost on the way."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from servelens_archives.errors import ArchiveError
from servelens_archives.instrument import main
from servelens_archives.instrumenting import Change, instrument, undo

MANIFEST = {
    "createdOn": "01/02/2024 03:04:05",
    "runtime": "python",
    "model": {"modelName": "old", "modelVersion": "1.3", "handler": "theirs.py"},
    "archiverVersion": "0.9.0",
}
HANDLER = """
import pathlib

import torch
from torchvision.transforms.functional import pil_to_tensor

class Theirs:
    def initialize(self, context):
        folder = pathlib.Path(context.system_properties["model_dir"])
        (folder / "notes.txt").write_text("changed while it ran")
        (folder / "cache.txt").write_text("written while it ran")
        self.model = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        )

    def handle(self, data, context):
        import io

        from PIL import Image

        photo = Image.open(io.BytesIO(data[0]["body"])).resize((16, 16))
        return self.model(pil_to_tensor(photo)[None] / 255).tolist()
"""


def archive(path: Path, handler: str = HANDLER, **files: Any) -> Path:
    members = {
        "theirs.py": handler,
        "notes.txt": "theirs",
        "package/__init__.py": "",
        "package/compiled.pyc": b"\0\1",
        "package/__pycache__/more.pyc": b"\2\3",
        "MAR-INF/MANIFEST.json": json.dumps(MANIFEST),
        **files,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


def files_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_all_that_was_there_stays_and_comes_back(tmp_path: Path) -> None:
    old = archive(tmp_path / "old.mar")
    change = Change("new", "2.0", "sigmoid")
    new = instrument(old, tmp_path / "new.mar", change, look=False)
    was, now = files_of(old), files_of(new)
    manifest = json.loads(now.pop("MAR-INF/MANIFEST.json"))
    assert manifest == {
        **MANIFEST,
        "model": {
            "modelName": "new",
            "modelVersion": "2.0",
            "handler": "instrumented_handler.py",
        },
        "servelens": {"handler": "theirs.py", "activation": "sigmoid"},
    }
    assert now.pop("MAR-INF/ORIGINAL-MANIFEST.json") == was["MAR-INF/MANIFEST.json"]
    assert now.pop("instrumented_handler.py")
    ours = {name for name in now if name.startswith("servelens/")}
    assert "servelens/torchserve/wrapped.py" in ours
    assert not any(name.endswith(".pyc") for name in ours)
    assert {name: now[name] for name in now.keys() - ours} == {
        name: was[name] for name in was if name != "MAR-INF/MANIFEST.json"
    }
    back = undo(new, tmp_path / "back.mar")
    assert files_of(back) == was


def test_the_same_archive_gives_the_same_bytes(tmp_path: Path) -> None:
    old = archive(tmp_path / "old.mar")
    one, other = (
        instrument(old, tmp_path / name, Change(), look=False) for name in ("1.mar", "2.mar")
    )
    assert one.read_bytes() == other.read_bytes()


def test_without_a_look_nothing_of_the_archive_is_run(tmp_path: Path) -> None:
    sentinel = tmp_path / "it ran"
    bait = f"open({str(sentinel)!r}, 'w').close()\n"
    imported_of_itself = {"package/__init__.py": bait, "sitecustomize.py": bait}
    old = archive(tmp_path / "old.mar", bait, **imported_of_itself)
    new, back = tmp_path / "new.mar", tmp_path / "back.mar"
    assert main([str(old), "--out", str(new), "--no-look"]) == 0
    assert main([str(new), "--out", str(back), "--undo"]) == 0
    assert not sentinel.exists()
    exec(bait)
    assert sentinel.exists(), "the bait would have worked"


@pytest.mark.slow
def test_what_runs_for_a_look_changes_nothing_in_the_archive(tmp_path: Path) -> None:
    old, said = archive(tmp_path / "old.mar"), []
    new = instrument(old, tmp_path / "new.mar", Change(), report=said.append)
    assert files_of(undo(new, tmp_path / "back.mar")) == files_of(old)
    assert "cache.txt" not in files_of(new)
    told = json.loads(files_of(new)["capability.json"])
    assert (told["model"]["architecture"], told["output"]["classes"]) == ("Sequential", 4)
    assert "old 1.3, handled by theirs.py" in said
    assert "maps are placed in the photo" in said
    assert any("could not be compared with it" in line for line in said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ("import a_missing_package", "No module named"),
        (HANDLER.replace("self.model", "Theirs.kept"), "keeps no PyTorch module"),
        ("import os; os._exit(3)", "ended its process with code 3"),
    ],
)
def test_what_cannot_be_looked_into_is_said_and_nothing_is_written(
    tmp_path: Path, handler: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old = archive(tmp_path / "old.mar", handler)
    assert main([str(old), "--out", str(tmp_path / "new.mar")]) == 1
    told = capsys.readouterr().err
    assert "error: " in told
    assert said in told
    assert "--no-look writes one all the same" in told
    assert {path.name for path in tmp_path.iterdir()} == {"old.mar"}


def refusal(old: Path, target: Path) -> str:
    with pytest.raises(ArchiveError) as refused:
        instrument(old, target, Change(), look=False)
    return str(refused.value)


def test_what_has_a_lens_already_gets_no_second_one(tmp_path: Path) -> None:
    old = archive(tmp_path / "old.mar")
    new = instrument(old, tmp_path / "new.mar", Change(), look=False)
    again = tmp_path / "again.mar"
    assert "is instrumented already" in refusal(new, again)
    ours = archive(tmp_path / "ours.mar", **{"lens_handler.py": "", "servelens/__init__.py": ""})
    assert "was built by ServeLens and answers lens requests as it is" in refusal(ours, again)
    with pytest.raises(ArchiveError, match="was not instrumented"):
        undo(old, again)
    assert not again.exists()


@pytest.mark.parametrize(
    "name",
    ["capability.json", "servelens/theirs.py", "servelens", "instrumented_handler.py"],
)
def test_a_name_that_the_lens_needs_is_not_taken_from_them(tmp_path: Path, name: str) -> None:
    old = archive(tmp_path / "old.mar", **{name: "theirs"})
    assert f"has a file {name!r}" in refusal(old, tmp_path / "new.mar")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    old = archive(tmp_path / "old.mar")
    before = old.read_bytes()
    assert "exists already" in refusal(old, old)
    assert "is no folder" in refusal(old, tmp_path / "none" / "new.mar")
    assert old.read_bytes() == before


def test_the_command_line_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["old.mar"], "--out"),
        (["old.mar", "--out", "x", "--name", "../x"], "must be 1 to 100 letters"),
        (["old.mar", "--out", "x", "--activation", "relu"], "invalid choice: 'relu'"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        assert said in capsys.readouterr().err
