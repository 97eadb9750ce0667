"""Photos as callers have them, and what a person sees of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client_fixtures.documents import photo
from PIL import Image

from servelens.client import BadPhoto
from servelens.client.photos import photo_bytes, shown


def pixels(body: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(body)) as opened:
        return np.asarray(opened)


def test_a_file_and_bytes_are_sent_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"whatever it is")
    assert photo_bytes(path) == photo_bytes(str(path)) == b"whatever it is"
    assert photo_bytes(b"bytes") == b"bytes"


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 3), (3, 4, 4)])
def test_an_array_of_bytes_is_sent_without_loss(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    assert np.array_equal(pixels(photo_bytes(array)), array)
    assert np.array_equal(pixels(photo_bytes(Image.fromarray(array))), array)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("nowhere.jpg", "the photo nowhere.jpg cannot be read: No such file"),
        ("a\0b", "cannot be read"),
        (np.zeros((2, 2)), "float64 of shape"),
        (np.zeros(4, np.uint8), "of shape"),
        (np.zeros((2, 2, 7), np.uint8), "uint8 of shape"),
        (np.zeros((0, 2), np.uint8), "uint8 of shape"),
        (7, "not 7"),
        (None, "not None"),
        (Image.new("F", (2, 2)), "mode F"),
    ],
)
def test_what_is_no_photo_is_named_before_anything_is_sent(wrong: Any, said: str) -> None:
    with pytest.raises(BadPhoto, match=said):
        photo_bytes(wrong)


def test_a_photo_is_shown_as_its_exif_says_and_in_rgb() -> None:
    turned = Image.open(io.BytesIO(photo())).convert("L")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turned clockwise
    file = io.BytesIO()
    turned.save(file, "PNG", exif=exif)
    picture = shown(file.getvalue())
    assert picture is not None
    assert (picture.mode, picture.size) == ("RGB", (4, 8))
    assert np.asarray(picture)[:4].max() == 0
    assert np.asarray(picture)[4:].min() == 255


@pytest.mark.parametrize("body", [b"", b"no picture", photo()[:40], b"%!PS-Adobe-3.0\n"])
def test_what_cannot_be_shown_is_none(body: bytes) -> None:
    assert shown(body) is None


def test_a_bomb_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    assert shown(photo()) is None
