"""Where somebody else's preparation looks, measured; by the oracle of what torchvision declares."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from engine_fixtures.photos import encode
from PIL import Image, ImageOps
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from servelens.engine.decoding import TURNS
from servelens.engine.folder.card import InputSpec
from servelens.engine.geometry import place
from servelens.engine.measuring import Levels, is_steady, measure_crop, measure_levels

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
UNSCALED = Levels((0.0,), (1.0,))
NORMALISED = transforms.Normalize(MEAN, STD)
SIZES = [(640, 480), (480, 640), (224, 224), (1000, 300), (60, 90), (1200, 901)]


def preparing(*steps: Any, mode: str | None = None, turns: bool = False) -> Callable[..., Any]:
    """A handler's way from a file to its model's input."""

    def prepare(data: bytes) -> np.ndarray:
        photo = Image.open(io.BytesIO(data))
        if turns:
            photo = ImageOps.exif_transpose(photo)
        if mode:
            photo = photo.convert(mode)
        return np.asarray(transforms.Compose(steps)(photo), dtype=np.float32)

    return prepare


STOCK = (
    transforms.Resize(256),
    transforms.CenterCrop(224),
    transforms.ToTensor(),
    NORMALISED,
)


def squash(size: tuple[int, int], how: InterpolationMode = InterpolationMode.BILINEAR) -> Any:
    return transforms.Resize(size, interpolation=how)


def test_the_stock_handlers_scaling_is_measured() -> None:
    levels = measure_levels(preparing(*STOCK))
    assert levels is not None
    assert levels.mean == pytest.approx(MEAN, abs=1e-6)
    assert levels.std == pytest.approx(STD, abs=1e-6)


@pytest.mark.parametrize(
    ("prepare", "mean", "std"),
    [
        (preparing(squash((28, 28)), transforms.ToTensor(), mode="L"), [0], [1]),
        (preparing(squash((8, 8)), transforms.PILToTensor()), [0] * 3, [1 / 255] * 3),
        (
            preparing(squash((8, 8)), transforms.ToTensor(), NORMALISED, lambda x: x.flip(0)),
            MEAN[::-1],
            STD[::-1],
        ),
        # What is padded around the photo is not the photo's.
        (
            preparing(squash((40, 40)), transforms.Pad(10), transforms.ToTensor(), NORMALISED),
            MEAN,
            STD,
        ),
    ],
)
def test_other_scalings_are_measured(
    prepare: Callable[..., Any], mean: list[float], std: list[float]
) -> None:
    levels = measure_levels(prepare)
    assert levels is not None
    assert levels.mean == pytest.approx(mean, abs=1e-6)
    assert levels.std == pytest.approx(std, abs=1e-6)


@pytest.mark.parametrize(
    "last",
    [
        lambda x: (x - x.mean()) / (x.std() + 1e-6),
        lambda x: x**2.2,
        lambda x: 1 - x,
        lambda x: x * torch.nan,
        lambda x: x.gt(0.5).float(),
    ],
    ids=["standardised", "gamma", "negative", "nan", "threshold"],
)
def test_what_is_no_scaling_is_not_taken_for_one(last: Callable[..., Any]) -> None:
    assert measure_levels(preparing(squash((32, 32)), transforms.ToTensor(), last)) is None


@pytest.mark.parametrize("size", SIZES)
def test_the_stock_handlers_crop_is_measured_to_a_pixel(size: tuple[int, int]) -> None:
    levels = Levels(tuple(MEAN), tuple(STD))
    found = measure_crop(preparing(*STOCK), levels, *size)
    expected = place(*size, InputSpec()).in_photo(*size)
    assert found is not None
    assert np.abs(np.subtract(found, expected)).max() <= 1


@pytest.mark.parametrize("how", ["nearest", "bilinear", "bicubic", "box"])
@pytest.mark.parametrize("size", SIZES[:3])
def test_a_photo_that_is_seen_whole_is(size: tuple[int, int], how: str) -> None:
    prepare = preparing(squash((64, 96), InterpolationMode(how)), transforms.ToTensor())
    assert measure_crop(prepare, UNSCALED, *size) == (0, 0, *size)


def test_a_crop_without_scaling_is_exact() -> None:
    prepare = preparing(lambda photo: photo.crop((30, 7, 130, 87)), transforms.ToTensor())
    assert measure_crop(prepare, UNSCALED, 640, 480) == (30, 7, 130, 87)


@pytest.mark.parametrize(
    "steps",
    [
        (transforms.RandomHorizontalFlip(1.0), squash((64, 64))),
        (transforms.RandomVerticalFlip(1.0), squash((64, 64))),
        (lambda photo: photo.transpose(Image.Transpose.ROTATE_90), squash((64, 64))),
        (lambda photo: photo.rotate(20), squash((64, 64))),
        (transforms.Resize(48), transforms.CenterCrop(64)),
        (squash((64, 64)), transforms.Pad(3, padding_mode="edge")),
        (transforms.FiveCrop(40), lambda crops: crops[0], transforms.Pad(20)),
        (lambda photo: Image.new("RGB", (64, 64), (9, 9, 9)),),
        (squash((64, 64)), lambda photo: ImageOps.equalize(photo)),
    ],
    ids=[
        "mirrored", "upside down", "turned", "slanted", "padded", "its edges repeated",
        "padded crop", "another picture", "equalised",
    ],
)  # fmt: skip
def test_what_is_no_upright_part_of_the_photo_is_not_taken_for_one(steps: tuple[Any, ...]) -> None:
    prepare = preparing(*steps, transforms.ToTensor())
    assert measure_crop(prepare, UNSCALED, 640, 480) is None


@pytest.mark.parametrize("orientation", TURNS)
def test_a_photo_that_was_turned_is_placed_as_it_is_shown(orientation: int) -> None:
    """And nowhere, where the handler lets it lie on its side."""
    levels, size = Levels(tuple(MEAN), tuple(STD)), (640, 480)
    crop = place(*size, InputSpec()).in_photo(*size)
    found = measure_crop(preparing(*STOCK, turns=True), levels, *size, orientation)
    assert found is not None
    assert np.abs(np.subtract(found, crop)).max() <= 1
    assert measure_crop(preparing(*STOCK), levels, *size, orientation) is None


def test_what_is_drawn_at_random_is_not_steady() -> None:
    crops = preparing(transforms.RandomCrop(100), transforms.ToTensor())
    assert not is_steady(crops)
    assert is_steady(preparing(*STOCK))


def test_probes_are_photos_that_any_handler_takes() -> None:
    seen: list[Image.Image] = []

    def prepare(data: bytes) -> np.ndarray:
        seen.append(Image.open(io.BytesIO(data)))
        return np.zeros((3, 8, 8), np.float32)

    measure_crop(prepare, UNSCALED, 30, 20)
    measure_levels(prepare)
    assert {(photo.format, photo.mode) for photo in seen} == {("PNG", "RGB")}
    assert [photo.size for photo in seen[:2]] == [(30, 20)] * 2
    assert encode(seen[0])
