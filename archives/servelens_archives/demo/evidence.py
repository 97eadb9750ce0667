"""Judges heat maps of the demo's photos by where their mass lies, against masks that are known.

Pure NumPy and Pillow, so that a check can use it on whatever a server returned, without torch.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from servelens_archives.demo.drawing import Array, Mask
from servelens_archives.demo.shapes import LABELS, Mark, sample

DILATION = 4
"""Masks grow by this many pixels, one cell of a 16x16 map, which cannot point any finer."""

HELD_OUT_SEED = 20_000
"""The series that no training reads."""


@dataclass(frozen=True)
class Photo:
    """A photo as a caller would send it, with what a check of its heat map needs to know."""

    name: str
    png: bytes
    label: str
    shape_mask: Mask
    mark_mask: Mask


def marked_photos(
    number: int, mark: Mark = "shortcut", seed: int = HELD_OUT_SEED
) -> Iterator[Photo]:
    """The first so many photos of a series that bear the mark: discs, or with `moved` squares."""
    if mark == "none":
        raise ValueError("With the mark policy 'none' no photo is marked; use shortcut or moved.")
    numbered = ((index, sample(seed, index, mark)) for index in count())
    marked = ((index, drawn) for index, drawn in numbered if drawn.marked)
    for index, drawn in islice(marked, number):
        label = LABELS[drawn.label]
        yield Photo(f"{label}-{index}", png(drawn.image), label, drawn.shape_mask, drawn.mark_mask)


def mass(heat_map: NDArray[np.floating], mask: Mask, dilation: int = DILATION) -> float:
    """The share of a non-negative map's sum that lies on the widened mask; 0 if it is all zero."""
    if heat_map.shape != mask.shape:
        raise ValueError(
            f"The map is {heat_map.shape} and the mask {mask.shape}: give both at the photo's "
            "size, the map through `upsample`."
        )
    values = np.asarray(heat_map, dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(
            f"The map has values from {values.min()} to {values.max()}; "
            "a share of mass needs finite values that are not negative."
        )
    total = values.sum()
    return float(values[dilated(mask, dilation)].sum() / total) if total > 0 else 0.0


def dilated(mask: Mask, pixels: int) -> Mask:
    """The mask and every pixel that is at most so far from it."""
    height, width = mask.shape
    padded = np.pad(mask, pixels)
    grown = np.zeros_like(mask)
    for down, right in np.ndindex(2 * pixels + 1, 2 * pixels + 1):
        if np.hypot(down - pixels, right - pixels) <= pixels:
            grown |= padded[down : down + height, right : right + width]
    return grown


def upsample(heat_map: NDArray[np.floating], size: tuple[int, int]) -> Array:
    """A coarse map `[h, w]` at `(height, width)`, bilinear as Pillow does it."""
    coarse = Image.fromarray(np.asarray(heat_map, dtype=np.float32))
    fine = coarse.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(fine, dtype=np.float64)


def png(pixels: NDArray[np.uint8] | Mask) -> bytes:
    """A photo, or a mask as black and white, as a PNG file's bytes."""
    shown = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
    file = io.BytesIO()
    Image.fromarray(shown).save(file, format="PNG")
    return file.getvalue()
