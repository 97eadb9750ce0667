"""Results as files: read back equal, with where they come from, and there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client_fixtures.documents import activation, assert_same, attribution, document, photo
from PIL import Image
from safetensors import safe_open

from servelens import codec
from servelens.client import NothingToShow, NotSaved, Result
from servelens.palettes import palette
from servelens.protocol import to_wire

ASKED = {"explain": ["grad_cam"], "seed": 3}
LONE_SURROGATE = "di\ud83d<b>$c"


@pytest.fixture
def result() -> Result:
    return Result.of(document(), photo(), ASKED)


def assert_told(manifest: dict[str, Any], result: Result, answer: Any) -> None:
    """Everything that says where a result comes from, and the answer itself."""
    assert manifest["schema_version"] == 1
    assert manifest["made_by"].startswith("servelens ")
    assert manifest["title"] == result.title
    assert manifest["photo"] == f"sha256:{hashlib.sha256(photo()).hexdigest()}"
    assert manifest["asked"] == ASKED
    assert manifest["model"] == {"name": "shapes", "version": "1.0", "digest": "sha256:00"}
    assert manifest["input"] == document()["input"]
    assert_same(manifest["answer"], answer)


@pytest.mark.parametrize(("suffix", "read"), [(".npz", codec.read_npz), (".json", codec.read_json)])
def test_an_npz_and_a_json_are_read_back_equal(
    result: Result, tmp_path: Path, suffix: str, read: Any
) -> None:
    path = result.save(tmp_path / f"cat{suffix}")
    assert path == tmp_path / f"cat{suffix}"
    assert_told(read(path.read_bytes()), result, document())


def test_an_npz_opens_in_numpy_alone_with_the_names_of_the_answer(
    result: Result, tmp_path: Path
) -> None:
    with np.load(result.save(tmp_path / "cat.npz"), allow_pickle=False) as members:
        for name, array in result.to_numpy().items():
            np.testing.assert_array_equal(members[f"answer/{name}"], array)


def test_safetensors_are_read_back_equal_by_their_own_library(
    result: Result, tmp_path: Path
) -> None:
    with safe_open(result.save(tmp_path / "cat.safetensors"), "numpy") as file:
        manifest = json.loads(file.metadata()["servelens"])
        for name, array in result.to_numpy().items():
            np.testing.assert_array_equal(file.get_tensor(f"answer/{name}"), array)
        assert set(file.keys()) == {f"answer/{name}" for name in result.to_numpy()}
    named = manifest["answer"]["attributions"][0]["map"]
    assert named["array"] == "answer/attributions/0/map"
    assert (named["shape"], named["max"]) == ([2, 2], 1.0)


def test_one_map_saves_itself_with_where_it_comes_from(result: Result, tmp_path: Path) -> None:
    heat = result.attributions[0]
    manifest = codec.read_json(heat.save(tmp_path / "map.json").read_bytes())
    assert manifest["title"] == "grad_cam at stem for disc"
    assert manifest["asked"] == ASKED
    assert_same(manifest["answer"], attribution())


def test_small_numbers_are_not_lost_in_half_precision(tmp_path: Path) -> None:
    tiny = np.array([[1.0, 1e-7 + 2**-40]], np.float32)
    result = Result.of(document(attributions=[attribution(map=tiny)]))
    back = codec.read_npz(result.save(tmp_path / "a.npz").read_bytes())
    np.testing.assert_array_equal(back["answer"]["attributions"][0]["map"], tiny)


def test_a_png_has_its_picture_and_the_manifest_in_its_metadata(tmp_path: Path) -> None:
    without_photo = Result.of(document(), None, ASKED).attributions[0]
    with Image.open(without_photo.save(tmp_path / "map.png")) as picture:
        told = json.loads(picture.text["servelens"])  # type: ignore[attr-defined]
        assert picture.text["Title"] == "grad_cam at stem for disc"  # type: ignore[attr-defined]
        assert picture.text["Software"].startswith("servelens ")  # type: ignore[attr-defined]
        colours = np.asarray(picture.convert("RGB"))
    assert told["asked"] == ASKED
    assert told["answer"]["map"]["max"] == 1.0
    assert colours.shape[:2] == (448, 448)
    corners = colours[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_array_equal(corners, palette(signed=False)[[0, 64, 128, 255]])


def test_a_folder_has_it_all_and_a_manifest_that_names_every_file(
    result: Result, tmp_path: Path
) -> None:
    folder = result.save(tmp_path / "cats" / "cat")
    manifest = json.loads((folder / "manifest.json").read_text())
    there = {path.name for path in folder.iterdir()}
    assert there == {"manifest.json", *manifest["files"]}
    assert there >= {"tensors.npz", "01-grad-cam-at-stem-for-disc.png"}
    for name, told in manifest["files"].items():
        body = (folder / name).read_bytes()
        assert told == {
            "bytes": len(body), "sha256": f"sha256:{hashlib.sha256(body).hexdigest()}",
        }  # fmt: skip
    assert_told(codec.read_npz((folder / "tensors.npz").read_bytes()), result, document())


@pytest.mark.parametrize("suffix", [".npz", ".json", ".safetensors", ".png", ""])
def test_what_a_server_may_have_called_its_classes_can_be_saved(
    tmp_path: Path, suffix: str
) -> None:
    target = {"index": 1, "label": f"../../{LONE_SURROGATE}\0"}
    hostile = document(
        predictions=[{**target, "probability": 1, "logit": 1}],
        attributions=[attribution(target=target, method="/etc/passwd")],
    )
    path = Result.of(hostile, photo(), ASKED).save(tmp_path / f"in{suffix}")
    files = [found for found in tmp_path.rglob("*") if found.is_file()]
    assert {found.parent for found in files} == {path if path.is_dir() else tmp_path}


@pytest.mark.parametrize("suffix", [".npz", ".json", ".safetensors", ".png"])
def test_a_result_without_any_numbers_is_saved_or_says_that_there_are_none(
    tmp_path: Path, suffix: str
) -> None:
    empty = Result.of(document(activations=[], attributions=[attribution(map=None)]))
    if suffix == ".png":
        with pytest.raises(NothingToShow, match="nothing to draw"):
            empty.save(tmp_path / "a.png")
        assert list(tmp_path.iterdir()) == []
    else:
        assert empty.save(tmp_path / f"a{suffix}").stat().st_size > 0


def test_an_unknown_suffix_is_named_with_those_that_are_known(
    result: Result, tmp_path: Path
) -> None:
    with pytest.raises(NotSaved, match=r"ends in none of \.npz, \.safetensors, \.json, \.png"):
        result.save(tmp_path / "cat.pickle")


def test_where_there_is_no_folder_nothing_is_written(result: Result, tmp_path: Path) -> None:
    with pytest.raises(NotSaved, match="No such file or directory"):
        result.save(tmp_path / "nowhere" / "cat.npz")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotSaved):
        result.save(tmp_path / "file" / "cat.npz")
    with pytest.raises(NotSaved, match="cannot be a folder"):
        result.save(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_cannot_be_finished_leaves_the_old_one_and_no_half(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = result.save(tmp_path / "cat.npz")
    before = path.read_bytes()

    def full(source: Path, target: Path) -> None:
        assert Path(source).stat().st_size > 0
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(NotSaved, match="cat.npz cannot be written: No space left on device"):
        Result.of(document(activations=[activation()] * 2)).save(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["cat.npz"]


def test_a_manifest_says_no_more_than_its_files_even_where_pictures_fail(tmp_path: Path) -> None:
    """An activation without maps has no picture; the folder has its numbers all the same."""
    result = Result.of(document(attributions=[], activations=[activation(maps=None)]))
    folder = result.save(tmp_path / "only-statistics")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert list(manifest["files"]) == ["tensors.npz"]
    answer = codec.read_npz((folder / "tensors.npz").read_bytes())["answer"]
    assert_same(answer, to_wire(result.document))
