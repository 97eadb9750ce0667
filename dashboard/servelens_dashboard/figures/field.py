"""What one unit can see of the photo: as a box over it, and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from servelens.protocol import InputRef, ReceptiveField
from servelens_dashboard.figures.look import number

FIELD = "field"
# Light within dark, to be seen on any photo.
LINES = (("#1d2126", 5), ("#ffffff", 2))


def boxed(drawn: go.Figure, box: Sequence[float]) -> go.Figure:
    """`box` is [left, top, right, bottom] in the photo."""
    x0, y0, x1, y1 = box
    for colour, width in LINES:
        line = {"color": colour, "width": width}
        drawn.add_shape(type="rect", x0=x0, y0=y0, x1=x1, y1=y1, line=line, name=FIELD)
    return drawn


def followed(
    drawn: go.Figure, field: Mapping[str, Any] | None, seen: InputRef, shape: Sequence[int]
) -> go.Figure:
    """With what assets/field.js takes to box what the unit under the pointer sees; `shape` is a
    map's (height, width). A field that is not known is not drawn."""
    if field is None:
        return drawn
    known = {**field, "crop": seen.crop, "input": seen.size, "places": list(shape)}
    return drawn.update_layout(meta={**(drawn.layout.meta or {}), FIELD: known})


def place_at(x: float, y: float, seen: InputRef, shape: Sequence[int]) -> tuple[int, int]:
    """Row and column of the unit over a point of the photo, of maps of this (height, width)."""
    left, top, right, bottom = seen.crop
    row = math.floor((y - top) / (bottom - top) * shape[0])
    column = math.floor((x - left) / (right - left) * shape[1])
    return min(max(0, row), shape[0] - 1), min(max(0, column), shape[1] - 1)


def tell(told: ReceptiveField) -> str:
    """Such as: The unit at row 3, column 5 gives 2.31 and can see 23 × 23 pixels of the input."""
    gives = "" if told.value is None else f"gives {number(told.value)} and "
    where = "" if told.position is None else " at row {}, column {}".format(*told.position)
    return f"The unit{where} {gives}{_sees(told)}."


def _sees(told: ReceptiveField) -> str:
    if told.theoretical is None:
        return "sees a part of the photo that is not known"
    if told.theoretical.whole:
        return "can see all that the model sees"
    return f"can see {' × '.join(map(str, told.theoretical.size))} pixels of the input"
