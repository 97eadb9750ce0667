"""Maps as the figures take them: finite, height by width, and on a scale that says its limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from servelens.client.colours import Scale, as_plane
from servelens_dashboard.figures.look import number
from servelens_dashboard.figures.recolouring import HEAT, Appearance, stops

Plane = NDArray[np.float64]
# What is hovered over need not be finer than what a pointer hits.
HOVER_CELLS = 64


def plane(values: NDArray[Any]) -> Plane:
    """A map that a server gave as numbers [H, W]; its colour channels, if any, are summed."""
    if not values.size:
        raise ValueError(f"a map of shape {list(values.shape)} has no numbers to draw")
    flat: Plane = np.asarray(as_plane(values), dtype=np.float64)
    if not np.isfinite(flat).all():
        bad = int((~np.isfinite(flat)).sum())
        raise ValueError(f"{bad} of a map's {flat.size} numbers are not finite, and have no colour")
    return flat


def coarse(values: Plane) -> Plane:
    """The means of blocks, where a map is finer than is hovered over."""
    height, width = values.shape
    size = min(width, HOVER_CELLS), min(height, HOVER_CELLS)
    if size == (width, height):
        return values
    picture = Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float64)


def unseen(
    values: Plane, box: Sequence[float], scale: Scale, appearance: Appearance, **more: Any
) -> dict[str, Any]:
    """A heatmap over a box (left, top, right, bottom) that nobody sees: it has the values to hover
    over and the colour bar of the picture that is seen."""
    left, top, right, bottom = box
    height, width = values.shape
    across, down = (right - left) / width, (bottom - top) / height
    return {
        "type": "heatmap",
        "name": HEAT,
        "opacity": 0,
        "z": values.astype(np.float32),
        "x0": left + across / 2,
        "dx": across,
        "y0": top + down / 2,
        "dy": down,
        "zmin": scale.start,
        "zmax": scale.end or 1,
        "colorscale": stops(appearance, signed=scale.signed),
        "colorbar": colour_bar(scale),
        "showscale": not scale.is_zero,
        **more,
    }


def colour_bar(scale: Scale) -> dict[str, Any]:
    """Its ends are the scale's; where the colours end before the numbers do, they say so."""
    places = [scale.start, 0.0, scale.end] if scale.signed else [0.0, scale.end]
    words = [number(place) for place in places]
    if scale.high > scale.end:
        words[-1] = f"{words[-1]}, max {number(scale.high)}"
    if scale.low < scale.start:
        words[0] = f"{words[0]}, min {number(scale.low)}"
    return {
        "thickness": 10,
        "len": 0.9,
        "outlinewidth": 0,
        "tickvals": places,
        "ticktext": words,
        "xpad": 6,
    }
