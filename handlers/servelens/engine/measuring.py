"""What somebody else's preparation of photos does, found out by having it prepare known ones.

A handler that is not ours turns a file into the model's input by code of its own. What it does to
levels is seen on photos of one level, and where in a photo it looks on slopes, whose level says how
far from the edge it was: a line through what became of them gives the crop. What fits neither is
not known, and is said not to be.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Callable, Optional, Tuple

import numpy as np
from PIL import ExifTags, Image

from servelens.engine.decoding import TURNS, UPRIGHT

# From a file's bytes to the model's input, float32 [channels, height, width].
Prepare = Callable[[bytes], np.ndarray]

# Of a photo of one level: wide enough for a handler that crops without scaling.
PLAIN_SIZE = (640, 480)
# Of white less black: more than rounding to eight bits makes of a level in between.
SAME_LEVEL = 0.01
# How often a slope goes through all that lies between two levels.
WAVES = 8
# What turns a photo back as a camera would have stored it.
TURNED_BACK = {
    Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
    Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Levels:
    """Per channel, what makes of a level from 0 to 1 the input: (level - mean) / std."""

    mean: Tuple[float, ...]
    std: Tuple[float, ...]

    def of(self, prepared: np.ndarray) -> np.ndarray:
        """The levels [height, width] that this input came from, the mean of its channels."""
        mean, std = (np.array(part)[:, None, None] for part in (self.mean, self.std))
        levels: np.ndarray = (prepared * std + mean).mean(axis=0)
        return levels


def is_steady(prepare: Prepare) -> bool:
    """Whether the same photo is prepared alike each time; what is drawn at random is not measured
    by another photo's."""
    width, height = PLAIN_SIZE
    photo = _file(_slope(width, height), UPRIGHT)
    return np.array_equal(prepare(photo), prepare(photo))


def measure_levels(prepare: Prepare) -> Optional[Levels]:
    """None where the input is no scaling of the pixels, channel by channel. Seen in the middle, for
    around it a handler may pad."""
    black, grey, white = (_middle(prepare(plain_photo(level))) for level in (0, 128, 255))
    if not black.shape == grey.shape == white.shape:
        return None
    lowest, highest = (part.mean(axis=(1, 2), dtype=np.float64) for part in (black, white))
    span = highest - lowest
    between = lowest + span * 128 / 255
    if not np.isfinite(span).all() or (span <= 0).any():
        return None
    for found, expected in ((black, lowest), (grey, between), (white, highest)):
        farthest = np.abs(found - expected[:, None, None]).max(axis=(1, 2))
        if (farthest > SAME_LEVEL * span).any():
            return None
    return Levels(tuple((-lowest / span).tolist()), tuple((1 / span).tolist()))


def measure_crop(
    prepare: Prepare, levels: Levels, width: int, height: int, orientation: int = UPRIGHT
) -> Optional[Tuple[int, int, int, int]]:
    """[left, top, right, bottom] of what the model sees of a photo that is shown in this size, or
    None where that is no upright rectangle of it."""
    slopes = (_slope(width, height), _slope(height, width).T)
    seen = [levels.of(prepare(_file(slope, orientation))) for slope in slopes]
    columns, rows = _edges(seen[0], width), _edges(seen[1].T, height)
    if columns is None or rows is None:
        return None
    return columns[0], rows[0], columns[1], rows[1]


def _slope(length: int, breadth: int) -> np.ndarray:
    """Levels [breadth, length], rising along the second axis; the first has all that lies between
    two levels, so that rounding to eight bits evens out, before a handler scales and after."""
    rise = (np.arange(length, dtype=np.float32) + 0.5) * (255 / length)
    between = np.arange(breadth, dtype=np.float32) * (WAVES / breadth) % 1 - 0.5
    return (rise + between[:, None]).round().clip(0, 255).astype(np.uint8)


def _edges(seen: np.ndarray, side: int) -> Optional[Tuple[int, int]]:
    """The first pixel and the one behind the last, from a slope along the second axis."""
    length = seen.shape[1]
    places = np.arange(length) + 0.5
    # Scaling bends a slope near the photo's edges, where it has no more pixels to take in.
    inner = slice(length // 10, length - length // 10) if length >= 10 else slice(None)
    if len(places[inner]) < 2:
        return None
    rise, start = np.polyfit(places[inner], seen.mean(axis=0)[inner], 1)
    steps = 2 / 255 + 0.75 / side + 0.5 / length
    if rise <= 0 or np.abs(seen - (start + rise * places)).max() > steps:
        return None
    first = min(max(round(start * side), 0), side - 1)
    last = min(round((start + rise * length) * side), side)
    return first, max(last, first + 1)


def _middle(prepared: np.ndarray) -> np.ndarray:
    height, width = prepared.shape[1:]
    return prepared[:, height // 4 : height - height // 4, width // 4 : width - width // 4]


def plain_photo(level: int) -> bytes:
    """Of one level, 0 to 255."""
    width, height = PLAIN_SIZE
    return _file(np.full((height, width), level, np.uint8), UPRIGHT)


def _file(levels: np.ndarray, orientation: int) -> bytes:
    """A PNG in grey, but of three channels; stored as a camera stores what is shown like this."""
    grey = Image.fromarray(levels).convert("RGB")
    exif = Image.Exif()
    if orientation in TURNS:
        turn = TURNS[orientation]
        grey = grey.transpose(TURNED_BACK.get(turn, turn))
        exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    grey.save(file, "PNG", compress_level=1, exif=exif.tobytes() if orientation in TURNS else b"")
    return file.getvalue()
