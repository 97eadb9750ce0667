"""A map laid over what the model saw of the photo, as a PNG; for callers that draw nothing.

Where the map is zero the photo is plain; the stronger it is, the more of its colour covers the
photo. What a map's largest value is, its tensor says and the picture cannot.
"""

from __future__ import annotations

import io
from typing import Tuple

import numpy as np
from PIL import Image

from servelens.palettes import palette

CIVIDIS = palette(signed=False)
# An odd number, so that zero has a colour of its own in the middle.
DIVERGING = palette(signed=True, levels=255)
# Of the colour, where the map is strongest: the photo still shows through.
OPACITY = 0.75
# The share of a map's values that is told apart; single pixels of a gradient are far above all
# others, and would leave nothing else to be seen.
TOLD_APART = 0.99


def overlay(values: np.ndarray, *, signed: bool, photo: np.ndarray) -> bytes:
    """Of a map [H, W] or [C, H, W] and a photo uint8 [height, width, 3], whose size it gets."""
    heat = _at_size(normalised(values), photo.shape[:2])
    if signed:
        table, place = DIVERGING, (heat + 1) / 2
    else:
        table, place = CIVIDIS, heat.clip(min=0)
    colours = table[(place * (len(table) - 1)).round().astype(np.intp)]
    cover = OPACITY * np.abs(heat)[..., None]
    mixed = photo + (colours.astype(np.float32) - photo) * cover
    file = io.BytesIO()
    Image.fromarray(mixed.round().astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def normalised(values: np.ndarray) -> np.ndarray:
    """[H, W] in [-1, 1], colour channels summed: 1 is the 99th percentile of the magnitudes, which
    for a map of fewer than 100 values is the largest; what is beyond it is clipped."""
    exact = values.astype(np.float64)
    flat = exact.sum(axis=0) if exact.ndim == 3 else exact
    magnitudes = np.abs(flat)
    scale = np.quantile(magnitudes, TOLD_APART, method="higher") or magnitudes.max()
    if not scale:
        return np.zeros(flat.shape, dtype=np.float32)
    heat: np.ndarray = (flat / scale).clip(-1, 1).astype(np.float32)
    return heat


def _at_size(heat: np.ndarray, size: Tuple[int, ...]) -> np.ndarray:
    large = Image.fromarray(heat).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(large)
