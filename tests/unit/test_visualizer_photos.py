"""Tensors and arrays as photos: the same pixels, and no guessing about what is none."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from servelens.client import BadPhoto
from servelens.visualizer.photos import photo_of, photos_of

LEVELS = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3) * 10


def pixels(photo: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(photo)) as opened:
        return np.asarray(opened)


@pytest.mark.parametrize(
    "picture",
    [
        LEVELS,
        LEVELS.astype(np.float32) / 255,
        Image.fromarray(LEVELS),
        torch.from_numpy(LEVELS).permute(2, 0, 1),
        torch.from_numpy(LEVELS).permute(2, 0, 1)[None],
        torch.from_numpy(LEVELS).permute(2, 0, 1).float() / 255,
        (torch.from_numpy(LEVELS).permute(2, 0, 1).double() / 255).requires_grad_(),
    ],
)
def test_every_form_of_a_photo_has_the_same_pixels(picture: Any) -> None:
    assert np.array_equal(pixels(photo_of(picture)), LEVELS)


@pytest.mark.parametrize("tensor", [torch.ones(3, 5), torch.ones(1, 3, 5), torch.ones(1, 1, 3, 5)])
def test_a_grey_tensor_is_a_grey_photo(tensor: torch.Tensor) -> None:
    grey = pixels(photo_of(tensor))
    assert grey.shape == (3, 5)
    assert set(grey.ravel()) == {255}


def test_a_batch_is_as_many_photos() -> None:
    batch = torch.stack([torch.full((3, 2, 2), level / 4) for level in range(4)])
    assert [pixels(photo).max() for photo in photos_of(batch)] == [0, 64, 128, 191]
    with pytest.raises(BadPhoto, match="one photo is asked about at a time, and this are 4"):
        photo_of(batch)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (torch.randn(3, 8, 8), "before it is normalised"),
        (torch.full((3, 8, 8), float("nan")), "before it is normalised"),
        (np.full((8, 8), 1.5), "before it is normalised"),
        (torch.ones(2, 8, 8), "with 1 or 3 channels"),
        (torch.ones(8), "with 1 or 3 channels"),
        (torch.ones(1, 1, 1, 8, 8), "with 1 or 3 channels"),
        (torch.ones(3, 8, 8, dtype=torch.int64), "int64"),
        (torch.ones(3, 0, 8), "numbers from 0 to 1"),
        (7, "not 7"),
    ],
)
def test_what_is_no_photo_is_not_guessed_at(picture: Any, said: str) -> None:
    with pytest.raises(BadPhoto, match=said):
        photo_of(picture)
