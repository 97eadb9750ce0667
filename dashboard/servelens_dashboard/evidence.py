"""Where a map's evidence lies, as numbers and as a sentence."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from servelens.client import Result
from servelens.client.colours import as_plane

Numbers = NDArray[np.floating]
HALF = 0.5


def placed(plane: Numbers, crop: tuple[int, ...], size: tuple[int, int]) -> Numbers:
    """The evidence for the class at the photo's own size `(height, width)`, nothing outside of the
    crop."""
    left, top, right, bottom = crop
    height, width = size
    positive = Image.fromarray(np.maximum(plane, 0).astype(np.float32))
    enlarged = np.asarray(
        positive.resize((max(1, right - left), max(1, bottom - top)), Image.Resampling.BILINEAR)
    )
    whole = np.zeros(size, np.float64)
    inside = slice(max(0, top), min(height, bottom)), slice(max(0, left), min(width, right))
    whole[inside] = enlarged[
        inside[0].start - top : inside[0].stop - top, inside[1].start - left : inside[1].stop - left
    ]
    return whole


def dilated(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """The mask and every pixel at most so far from it, along each axis."""
    picture = Image.fromarray(mask.astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.MaxFilter(2 * pixels + 1))) > 0


def _cell(plane: Numbers, crop: tuple[int, ...]) -> int:
    """One number of the map in pixels of the photo: it cannot point any finer."""
    left, top, right, bottom = crop
    return math.ceil(max((bottom - top) / plane.shape[0], (right - left) / plane.shape[1]))


def share_on(values: Numbers, mask: NDArray[np.bool_]) -> float:
    """Of all that is above zero; 0 of a map without any."""
    total = values.sum()
    return float(values[mask].sum() / total) if total > 0 else 0.0


def smallest_half(values: Numbers) -> float:
    """The smallest share of the picture that holds half of the evidence."""
    falling = np.sort(values, axis=None)[::-1].cumsum()
    if not falling.size or falling[-1] <= 0:
        return 0.0
    return float((np.searchsorted(falling, HALF * falling[-1]) + 1) / falling.size)


def sentence(result: Result, mask: NDArray[np.bool_] | None) -> str:
    """What one map says: the class, its probability where it is known, and where to look."""
    entry = result.attributions[0]
    if entry.map is None:
        return entry.why_nothing
    plane, where = as_plane(entry.map), result.input
    seen = placed(plane, where.crop, (where.height, where.width))
    widened = None if mask is None else dilated(mask, _cell(plane, where.crop))
    return f"{_class(result)}; {_where(seen, widened)}."


def _class(result: Result) -> str:
    target = result.attributions[0].target
    best = result.predictions[0] if result.predictions else None
    if target is None:
        return "whatever the class"
    if target.versus is not None:
        return f"{target.label} rather than {target.versus.label}"
    if best is not None and best.index == target.index:
        return f"{target.label}, {best.probability:.2f}"
    return target.label


def _where(seen: Numbers, mask: NDArray[np.bool_] | None) -> str:
    if not seen.any():
        return "nothing in the photo speaks for it"
    if mask is not None and mask.shape == seen.shape:
        return f"{share_on(seen, mask):.0%} of the evidence lies on the shape".replace("%", " %")
    return f"half of the evidence lies on {smallest_half(seen):.0%} of the photo".replace("%", " %")
