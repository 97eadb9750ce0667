"""A default method is chosen by photos: the record is what the archive itself gives a caller."""

from __future__ import annotations

import base64
import json
import shutil
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grey_recipe import make_recipe
from jsonschema import Draft202012Validator
from PIL import Image

from servelens.engine.folder.card import Card
from servelens.engine.folder.digest import folder_digest
from servelens.engine.session import Session
from servelens.protocol import Document, read_request
from servelens.protocol.schema import capability_schema
from servelens_archives.build import main
from servelens_archives.builder import build
from servelens_archives.errors import BuildError
from servelens_archives.recipe import Recipe, load_recipe, recipe_of
from servelens_archives.spelling import as_toml

# Each builds whole archives, in processes that import torch anew.
pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parents[2] / "archives/demo/samples"
PHOTOS = ("disc-marked", "square-unmarked", "triangle")
WITHOUT_MASK = "square-unmarked"
GAINS = {
    "deletion_gain": ("random_deletion_auc", "deletion_auc"),
    "insertion_gain": ("insertion_auc", "random_insertion_auc"),
}
# Half of the last digit that is kept, and what a chunk of another size rounds otherwise.
KEPT = 1e-3


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name in PHOTOS:
        shutil.copy(SAMPLES / f"{name}.png", folder)
        if name != WITHOUT_MASK:
            shutil.copy(SAMPLES / f"{name}.mask.png", folder)
    return folder


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The cheating demo model's, with no default plan of its own."""
    table = tomllib.loads((root / "archives/recipes/shapes-shortcut.toml").read_text("utf-8"))
    del table["lens"]["default_plan"]
    for key in ("file", "weights"):
        table["model"][key] = str(root / "archives/recipes" / table["model"][key])
    file = tmp_path_factory.mktemp("recipe") / "shapes.toml"
    file.write_text(as_toml(table), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def folder(photos: Path, recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive that the command builds, unpacked."""
    out = tmp_path_factory.mktemp("out")
    assert main([str(recipe_file), "--images", str(photos), "--out", str(out)]) == 0
    return unpacked(out / "shapes-shortcut.mar", out / "unpacked")


def unpacked(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder


def described(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "capability.json").read_text("utf-8"))
    return found


def test_the_evidence_is_what_a_caller_of_the_archive_finds_by_the_stated_rule(
    folder: Path, photos: Path
) -> None:
    Draft202012Validator(capability_schema()).validate(described(folder))
    evidence = described(folder)["default_plan_evidence"]
    session = Session.load(folder)
    recorded = {one["method"]: one for one in evidence["methods"]}
    assert set(recorded) == {
        method["name"]
        for method in session.describe()["methods"]
        if method["supported"] and method["relative_cost"] == 3
    }  # a pass forward, and one back, which counts as two
    found = {name: recomputed(session, name, photos) for name in recorded}
    for name, numbers in found.items():
        for number, value in numbers.items():
            assert recorded[name][number] == pytest.approx(value, abs=KEPT), (name, number)
        assert (recorded[name]["out"] is None) == passes(numbers)
    fit = [name for name in found if passes(found[name])]
    assert 0 < len(fit) < len(found)
    assert found[evidence["chosen"]]["score"] > max(found[name]["score"] for name in fit) - 0.011
    assert (evidence["photos"], evidence["photos_found"], evidence["masks"]) == (3, 3, 2)
    assert evidence["why"].startswith(f"{evidence['chosen']} scores ")


def recomputed(session: Session, method: str, photos: Path) -> dict[str, float]:
    """From one card after the other, each of this method alone."""
    cards = [card_of(session, method, photos / f"{name}.png") for name in PHOTOS]
    numbers = {
        name: mean([card[more] - card[less] if card[more] is not None else 0.0 for card in cards])
        for name, (more, less) in GAINS.items()
    }
    masked = [card for card, name in zip(cards, PHOTOS, strict=True) if name != WITHOUT_MASK]
    for name in ("pointing", "mass"):
        numbers[name] = mean([card[name] or 0.0 for card in masked])
    numbers["score"] = mean(list(numbers.values()))
    for name in ("stability", "sanity"):
        numbers[name] = mean([card[name] for card in cards if card[name] is not None])
    return numbers


def card_of(session: Session, method: str, photo: Path) -> Mapping[str, Any]:
    mask = photo.with_name(f"{photo.stem}.mask.png")
    keys = {"mask": base64.b64encode(mask.read_bytes()).decode()} if mask.exists() else {}
    (answer,) = session.run(
        [read_request({"explain": method, "trust": True, **keys}, photo.read_bytes())]
    )
    assert isinstance(answer, Document), answer
    return vars(answer.attributions[0].trust)


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def passes(numbers: Mapping[str, float]) -> bool:
    gain = numbers["deletion_gain"] + numbers["insertion_gain"]
    return gain > 0 and numbers["stability"] >= 0.5 and numbers["sanity"] <= 0.5


def test_the_choice_is_what_the_archive_explains_with(folder: Path, photos: Path) -> None:
    chosen = described(folder)["default_plan_evidence"]["chosen"]
    assert described(folder)["default_plan"] == [chosen]
    (answer,) = Session.load(folder).run(
        [read_request({"explain": True}, (photos / "triangle.png").read_bytes())]
    )
    assert isinstance(answer, Document)
    assert [attribution.method for attribution in answer.attributions] == [chosen]


def test_the_evidence_is_part_of_what_the_archive_is_named_by(folder: Path) -> None:
    """Clients keep the capability document under the digest, which does not cover it."""
    lens, capability = Card.load(folder).lens, described(folder)
    assert list(lens.default_plan) == capability["default_plan"]
    assert lens.evidence == capability["default_plan_evidence"]
    assert capability["model"]["digest"] == folder_digest(folder)
    assert Session.load(folder).describe()["default_plan_evidence"] == lens.evidence


def test_the_same_photos_from_another_place_give_the_same_bytes(
    folder: Path, photos: Path, recipe_file: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos, tmp_path / "again")
    table = {**tomllib.loads(recipe_file.read_text("utf-8"))}
    table["lens"]["images"] = "again"
    told: list[str] = []
    archive = build(recipe_of(table, tmp_path, "again.toml"), tmp_path, report=told.append)
    assert archive.read_bytes() == (folder.parent / "shapes-shortcut.mar").read_bytes()
    assert "weighing methods on 3 photos, 2 with a mask" in told
    assert "weighing 10 methods on photo 3 of 3" in told
    evidence = described(folder)["default_plan_evidence"]
    assert f"default method: {evidence['why']}" in told


# ------------------------------------------------------------------- a small model, and what is odd


def grey(folder: Path, *names: str, size: tuple[int, int] = (20, 16)) -> Path:
    folder.mkdir(exist_ok=True)
    for place, name in enumerate(names):
        noise = np.random.default_rng(place).integers(0, 255, size[::-1], dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)
    return folder


def with_images(tmp_path: Path, images: Path, lens: str = "") -> Recipe:
    file = make_recipe(tmp_path / "recipe")
    file.write_text(
        f"{file.read_text('utf-8')}\n[lens]\nimages = {json.dumps(str(images))}\n{lens}", "utf-8"
    )
    return load_recipe(file)


def test_the_recipes_own_plan_stays_and_the_evidence_stands_beside_it(tmp_path: Path) -> None:
    images = grey(tmp_path / "photos", "a.png", "b.jpg")
    recipe = with_images(tmp_path, images, 'default_plan = ["occlusion"]')
    capability = described(unpacked(build(recipe, tmp_path), tmp_path / "unpacked"))
    assert capability["default_plan"] == ["occlusion"]
    evidence = capability["default_plan_evidence"]
    assert evidence["why"].startswith("the recipe names its default plan, which stays; by the ")
    assert (evidence["photos"], evidence["masks"]) == (2, 0)
    assert all(one["pointing"] is None and one["mass"] is None for one in evidence["methods"])


def test_photos_that_cannot_be_used_are_all_named_and_there_is_no_archive(tmp_path: Path) -> None:
    images = grey(tmp_path / "photos", "good.png", "wide.png")
    (images / "broken.jpg").write_bytes(b"no photo")
    grey(images, "wide.mask.png", size=(7, 7))
    with pytest.raises(BuildError) as error:
        build(with_images(tmp_path, images), tmp_path / "out")
    said = str(error.value)
    assert said.startswith(
        "the default method could not be chosen by photos: 2 of the photos cannot be used; take "
        "them out or mend them: broken.jpg: the image cannot be decoded (UnidentifiedImageError)"
    )
    assert "; wide.png: mask is 7 " in said
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_that_is_none_is_told_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="nowhere, where example photos should be, is no folder"):
        build(with_images(tmp_path, tmp_path / "nowhere"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
