"""Which files of a folder are example photos, and which of many are taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from servelens_archives.errors import BuildError
from servelens_archives.examples import MOST, find_examples


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def test_photos_are_found_with_their_masks_and_nothing_else(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "b.mask.png", "a.png", "a.mark.png", "notes.txt", "x.mask.png")
    os.mkfifo(tmp_path / "endless.png")
    touch(tmp_path, "owl/a.webp", "owl/a.mask.png", "wren/c.tiff")
    found = find_examples(tmp_path)
    assert [example.name for example in found.used] == [
        "a.png",
        "b.JPG",
        "owl/a.webp",
        "wren/c.tiff",
    ]
    masks = [None, tmp_path / "b.mask.png", tmp_path / "owl" / "a.mask.png", None]
    assert [example.mask for example in found.used] == masks
    assert found.words() == "4 photos, 2 with a mask"


def test_of_too_many_those_are_taken_that_lie_evenly(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number:03}.png" for number in range(5 * MOST)))
    found = find_examples(tmp_path)
    names = [f"{number:03}.png" for number in range(0, 5 * MOST, 5)]
    assert [example.name for example in found.used] == names
    assert found.words() == f"{MOST} of {5 * MOST} photos, 0 with a mask"


def test_one_more_than_are_taken_leaves_one_out(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number:03}.png" for number in range(MOST + 1)))
    names = [example.name for example in find_examples(tmp_path).used]
    assert len(set(names)) == MOST and names[0] == "000.png"


def test_the_demos_samples_are_seven_photos_with_masks(root: Path) -> None:
    assert find_examples(root / "archives/demo/samples").words() == "7 photos, 7 with a mask"


def test_a_folder_that_is_none_or_has_no_photos_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="nowhere, where example photos should be, is no folder$"):
        find_examples(tmp_path / "nowhere")
    with pytest.raises(BuildError, match=r"has no photos: no file whose name ends .*\.jpeg, "):
        find_examples(touch(tmp_path, "a.txt", "b.mask.png"))
