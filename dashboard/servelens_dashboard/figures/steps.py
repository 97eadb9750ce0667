"""A model's depth as a row of small maps: each layer that stands for it with its strongest channel.

Of several models each has a row, and what stands in one column is at the same share of the depth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from servelens.client.colours import Scale
from servelens.protocol import Activation
from servelens_dashboard.figures import look
from servelens_dashboard.figures.depth import Models, places
from servelens_dashboard.figures.grid import LARGEST, Grid
from servelens_dashboard.figures.look import LIGHT, Theme, brief, number, plain
from servelens_dashboard.figures.maps import Plane, plane, unseen
from servelens_dashboard.figures.recolouring import HEAT, SOLID, heat_png, mapped
from servelens_dashboard.figures.sprites import EDGE, frame, nearest, shrunk, sprite
from servelens_dashboard.figures.twin import Cell, Twin

Step = TypeVar("Step", bound=Activation)

# The lines under a map, and how many letters each has room for.
LABEL, LETTERS = 68, 14
# Between two maps, which are no parts of one picture.
APART = 16


def with_maps(layers: Sequence[Step]) -> list[Step]:
    """Those that have a map, and not a number for each channel."""
    return [layer for layer in layers if layer.maps is not None and layer.maps.ndim > 2]


def columns_of(count: int, columns: int) -> list[int]:
    """The first step stands in the first column, the last one in the last, the others between."""
    return [round(place) for place in places(count, columns)]


def most_columns(models: Models) -> int:
    return max((len(with_maps(layers)) for layers in models.values()), default=0)


def grid_of(steps: Sequence[Activation], columns: int) -> Grid:
    """All cells have the proportions of the finest map, which is the first layer's."""
    height, width = _plane(steps[0]).shape
    longest = max(height, width)
    cell = max(1, LARGEST * width // longest), max(1, LARGEST * height // longest)
    return Grid(columns, columns, cell, shrink=1, strip=0, gap=APART)


def draw(steps: Sequence[Activation], columns: int, theme: Theme = LIGHT) -> go.Figure:
    """Each map on its own scale: a deep layer's numbers are of another size than a first one's."""
    planes = [_plane(step) for step in steps]
    signed = any(bool(values.min() < 0) for values in planes)
    scales = [Scale.of(values, signed=signed) for values in planes]
    grid, stands = grid_of(steps, columns), columns_of(len(steps), columns)
    width, height = grid.size
    drawn = look.figure(
        theme,
        margin=look.sides(bottom=LABEL),
        meta=mapped(signed=signed, photo=False),
        **look.picture_axes(width, height),
    )
    maps = 0, 0, width - APART, height - APART
    around = -EDGE, -EDGE, width + EDGE, height + EDGE
    source = heat_png(_sheet(planes, scales, stands, grid), SOLID, signed=signed)
    channels = {at: step.channels[0].index for at, step in zip(stands, steps, strict=True)}
    edges = frame(grid, [channels.get(column) for column in range(columns)], theme)
    drawn.update_layout(
        images=[
            look.picture(source, maps, name=HEAT, above=False),
            look.picture(edges, around, name="frame", above=True),
        ],
        annotations=[
            _label(step, scale, grid, column, theme)
            for step, scale, column in zip(steps, scales, stands, strict=True)
        ],
    )
    return drawn.add_trace(_hover(steps, stands, scales, grid))


def ratio(steps: Sequence[Activation], columns: int) -> float:
    """Height to width, without the labels."""
    width, height = grid_of(steps, columns).size
    return height / width


def name_each(steps: Sequence[Activation]) -> str:
    """What stands where, for those who do not see it."""
    return ", ".join(f"{step.layer} channel {step.channels[0].index}" for step in steps)


def tell(models: Models) -> Twin:
    several = len(models) > 1
    columns = most_columns(models)
    rows: list[dict[str, Cell]] = []
    said: list[str] = []
    for model, layers in models.items():
        steps = with_maps(layers)
        for column, step in zip(columns_of(len(steps), columns), steps, strict=True):
            which: dict[str, Cell] = {"model": model, "column": column + 1} if several else {}
            rows.append({**which, **_row(step)})
        if steps:
            of = f" of {model}" if several else ""
            ends = f"{steps[0].layer} to {steps[-1].layer}"
            said.append(f"each of {len(steps)} layers{of}, from {ends}")
    if not rows:
        return Twin("No layer has a map.")
    return Twin(f"The strongest channel of {'; of '.join(said)}.", tuple(rows))


def _plane(step: Activation) -> Plane:
    return plane(np.asarray(step.maps)[0])


def _sheet(
    planes: Sequence[Plane], scales: Sequence[Scale], stands: Sequence[int], grid: Grid
) -> NDArray[np.uint8]:
    """Without the gaps at its far sides, where a hair of it would shimmer through the frame."""
    cells = np.zeros((grid.columns, *grid.cell[::-1]))
    cells[stands] = [_fitted(values, grid) for values in planes]
    each = dict(zip(stands, scales, strict=True))
    filled = [each.get(column, scales[0]) for column in range(grid.columns)]
    return sprite(cells, filled, grid)[:-APART, :-APART]


def _fitted(values: Plane, grid: Grid) -> Plane:
    """In a cell's own pixels; each number a square, or a pixel the mean of several."""
    width, height = grid.cell
    by = math.ceil(max(values.shape) / max(grid.cell))
    small: Plane = shrunk(values[None], by)[0]
    rows, columns = nearest(small.shape[0], height), nearest(small.shape[1], width)
    return small[rows[:, None], columns]


def _label(step: Activation, scale: Scale, grid: Grid, column: int, theme: Theme) -> dict[str, Any]:
    left, _, right, _ = grid.box(column)
    channel = f"channel {step.channels[0].index}"
    return {
        "text": "<br>".join((plain(_short(step.layer)), channel, *_ends(scale))),
        "font": {"color": theme.quiet, "size": look.SMALL},
        "xref": "x",
        "x": (left + right) / 2,
        "yref": "y domain",
        "y": 0,
        "yanchor": "top",
        "showarrow": False,
    }


def _short(layer: str) -> str:
    """Its end, where there is no room for all of it; the whole is hovered over and in the table."""
    return layer if len(layer) <= LETTERS else brief(layer.split(".")[-1], LETTERS)


def _ends(scale: Scale) -> tuple[str, ...]:
    if scale.is_zero:
        return ("all zero",)
    low, to_high = number(scale.low), f"to {number(scale.high)}"
    together = f"{low} {to_high}"
    return (together,) if len(together) <= LETTERS else (low, to_high)


def _hover(
    steps: Sequence[Activation], stands: Sequence[int], scales: Sequence[Scale], grid: Grid
) -> dict[str, Any]:
    means = np.full((1, grid.columns), np.nan)
    names = np.full((1, grid.columns), "", dtype=object)
    words = np.full((1, grid.columns, 2), "", dtype=object)
    for column, step, scale in zip(stands, steps, scales, strict=True):
        means[0, column] = _plane(step).mean()
        names[0, column] = plain(step.layer)
        words[0, column] = [step.channels[0].index, scale.words()]
    return unseen(
        means,
        (0, 0, *grid.size),
        Scale.shared(scales),
        SOLID,
        text=names,
        customdata=words,
        hovertemplate="%{text}, channel %{customdata[0]}<br>mean %{z:.3g}"
        "<br>%{customdata[1]}<extra></extra>",
        hoverongaps=False,
        showscale=False,
    )


def _row(step: Activation) -> dict[str, Cell]:
    values = _plane(step)
    return {
        "layer": step.layer,
        "channel": step.channels[0].index,
        "mean": step.channels[0].mean,
        "min": float(values.min()),
        "max": float(values.max()),
        "colours end at": Scale.of(values, signed=False).end,
        "map": " × ".join(map(str, values.shape)),
    }
