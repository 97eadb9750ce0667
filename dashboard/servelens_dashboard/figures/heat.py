"""A map over the photo that it is of: the photo below, the heat above, the crop outlined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from servelens.client.colours import Scale
from servelens.client.pictures import smooth
from servelens.protocol import InputRef
from servelens_dashboard.figures import look
from servelens_dashboard.figures.look import LIGHT, Theme, number
from servelens_dashboard.figures.maps import Plane, coarse, unseen
from servelens_dashboard.figures.recolouring import (
    AS_USUAL,
    HEAT,
    SOLID,
    Appearance,
    heat_png,
    mapped,
)
from servelens_dashboard.figures.sprites import nearest
from servelens_dashboard.figures.twin import Twin

LONGEST = 448
OUTSIDE = "rgba(0,0,0,0.45)"
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "middle", "right")


def draw(
    photo: str | None,
    seen: InputRef,
    values: Plane | None,
    scale: Scale | None,
    appearance: Appearance = AS_USUAL,
    theme: Theme = LIGHT,
) -> go.Figure:
    """`photo` is the photo's address, the same in every figure of it. Without a map it is the photo
    alone, with what the model saw of it; without a photo the map alone, at its own resolution."""
    box = 0, 0, seen.width, seen.height
    images = [] if photo is None else [look.picture(photo, box, name="photo", above=False)]
    drawn = look.figure(
        theme,
        margin=look.sides(),
        shapes=outline(seen),
        **look.picture_axes(seen.width, seen.height),
    )
    if values is not None and scale is not None:
        if photo is None:
            appearance = SOLID
        _lay(drawn, values, scale, seen.crop, appearance)
        drawn.update_layout(meta=mapped(signed=scale.signed, photo=photo is not None))
        source = (squares if photo is None else layer)(values, scale, seen.crop, appearance)
        images.append(look.picture(source, seen.crop, name=HEAT, above=True))
        if scale.is_zero:
            drawn.add_annotation(look.note("this map is all zero", theme))
    return drawn.update_layout(images=images)


def layer(
    values: Plane, scale: Scale, crop: Sequence[int], appearance: Appearance = AS_USUAL
) -> str:
    """The heat alone, as the address of a PNG in the crop's proportions. The numbers are made
    smooth, not the colours, so that all of them are the palette's."""
    levels = scale.levels(smooth(values, _size(crop)))
    return heat_png(levels, appearance, signed=scale.signed)


def squares(
    values: Plane, scale: Scale, crop: Sequence[int], appearance: Appearance = SOLID
) -> str:
    """The same, each number a square."""
    width, height = _size(crop)
    rows, columns = nearest(values.shape[0], height), nearest(values.shape[1], width)
    levels = scale.levels(values)[rows[:, None], columns]
    return heat_png(levels, appearance, signed=scale.signed)


def _size(crop: Sequence[int]) -> tuple[int, int]:
    left, top, right, bottom = crop
    zoom = LONGEST / max(right - left, bottom - top)
    return max(1, round((right - left) * zoom)), max(1, round((bottom - top) * zoom))


def tell(values: Plane, scale: Scale, of: str) -> Twin:
    """`of` is what the map is of: "grad_cam at layer4 for disc". The table has its nine parts."""
    low, high = float(values.min()), float(values.max())
    if low == high == 0:
        return Twin(f"{of}: this map is all zero.")
    down, right = np.unravel_index(np.abs(values).argmax(), values.shape)
    where = _place(int(down), int(right), values.shape)
    ends = f"; colours end at {number(scale.end)}" if max(-low, high) > scale.end else ""
    caption = f"{of}: {number(low)} to {number(high)}, strongest at the {where}{ends}."
    return Twin(caption, tuple(_thirds(values)))


def outline(seen: InputRef) -> list[dict[str, Any]]:
    """What the model did not see is darkened; nothing where it saw the whole photo."""
    left, top, right, bottom = seen.crop
    whole = _rectangle(0, 0, seen.width, seen.height)
    crop = _rectangle(max(0, left), max(0, top), min(seen.width, right), min(seen.height, bottom))
    if crop == whole:
        return []
    return [
        {
            "type": "path",
            "path": f"{whole} {crop}",
            "fillrule": "evenodd",
            "fillcolor": OUTSIDE,
            "line": {"color": "white", "width": 1},
            "layer": "above",
        }
    ]


def _rectangle(left: float, top: float, right: float, bottom: float) -> str:
    return f"M{left},{top}L{right},{top}L{right},{bottom}L{left},{bottom}Z"


def _lay(
    drawn: go.Figure, values: Plane, scale: Scale, box: Sequence[float], appearance: Appearance
) -> None:
    cells = coarse(values)
    what = "value" if cells is values else "mean here"
    hover = f"{what} %{{z:.3g}}<br>at %{{x:.0f}}, %{{y:.0f}}<extra></extra>"
    drawn.add_trace(unseen(cells, box, scale, appearance, hovertemplate=hover))


def _place(down: int, right: int, shape: tuple[int, ...]) -> str:
    row, column = ROWS[3 * down // shape[0]], COLUMNS[3 * right // shape[1]]
    return row if row == column else f"{row} {column}"


def _thirds(values: Plane) -> list[dict[str, str | float]]:
    """Each ninth of the map; of one with fewer numbers, those that have any."""
    height, width = values.shape
    return [
        {"part": _place(r, c, (3, 3)), "mean": float(part.mean()), "max": float(part.max())}
        for r in range(3)
        for c in range(3)
        if (part := values[_third(r, height), _third(c, width)]).size
    ]


def _third(part: int, length: int) -> slice:
    """Number `i` is in part 3 * i // length, as in `_place`."""
    return slice(-(-part * length // 3), -(-(part + 1) * length // 3))
