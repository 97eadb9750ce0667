"""The digest names an archive's content, and nothing that Python or the preflight adds to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from servelens.engine.folder.digest import archive_files, folder_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {"b.txt": b"bee", "a/z.bin": b"\0" * 3_000_000, "ä.txt": b""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_it_is_the_hash_of_paths_lengths_and_contents_in_order(folder: Path) -> None:
    said = b"a/z.bin\0" + (3_000_000).to_bytes(8, "big") + b"\0" * 3_000_000
    said += b"b.txt\0" + (3).to_bytes(8, "big") + b"bee"
    said += "ä.txt".encode() + b"\0" + (0).to_bytes(8, "big")
    assert folder_digest(folder) == f"sha256:{hashlib.sha256(said).hexdigest()}"


def test_the_capability_file_and_pythons_caches_do_not_count(folder: Path) -> None:
    before = folder_digest(folder)
    (folder / "capability.json").write_text("{}")
    (folder / "a" / "__pycache__").mkdir()
    (folder / "a" / "__pycache__" / "z.cpython-311.pyc").write_bytes(b"code")
    (folder / "a" / "old.pyc").write_bytes(b"code")
    assert folder_digest(folder) == before
    assert archive_files(folder) == ["a/z.bin", "b.txt", "capability.json", "ä.txt"]


@pytest.mark.parametrize("change", ["rename", "move", "edit", "add", "nested capability"])
def test_any_other_change_gives_another_digest(folder: Path, change: str) -> None:
    before = folder_digest(folder)
    if change == "rename":
        (folder / "b.txt").rename(folder / "c.txt")
    elif change == "move":
        (folder / "b.txt").rename(folder / "a" / "b.txt")
    elif change == "edit":
        (folder / "b.txt").write_bytes(b"bed")
    elif change == "add":
        (folder / "c.txt").write_bytes(b"")
    else:
        (folder / "a" / "capability.json").write_bytes(b"{}")
    assert folder_digest(folder) != before


def test_bytes_cannot_wander_from_one_file_to_the_next(tmp_path: Path) -> None:
    for name, content in (("one", (b"xa", b"y")), ("two", (b"x", b"ay"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_bytes(content[0])
        (tmp_path / name / "b").write_bytes(content[1])
    assert folder_digest(tmp_path / "one") != folder_digest(tmp_path / "two")
