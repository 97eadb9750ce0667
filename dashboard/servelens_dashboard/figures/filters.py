"""What a layer has learned to look for: a first layer in colour, others input by input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from servelens.client.pictures import data_url, tiled
from servelens_dashboard.figures import look
from servelens_dashboard.figures.atlas import Atlas
from servelens_dashboard.figures.grid import GAP, Grid
from servelens_dashboard.figures.look import LIGHT, Theme
from servelens_dashboard.figures.sprites import nearest
from servelens_dashboard.figures.twin import Twin

Numbers = NDArray[Any]

# As wide as half a stage usually is.
ACROSS = 640
MOST_INPUTS = 24
GREY = 0.5


def by_input(kernel: Numbers) -> Atlas:
    """One filter [inputs, height, width] as a map for each of the inputs that it goes by most."""
    norms = np.linalg.norm(kernel.reshape(len(kernel), -1).astype(np.float64), axis=1)
    most = np.argsort(-norms, kind="stable")[:MOST_INPUTS]
    return Atlas.of(kernel[most], [int(place) for place in most], signed=True, across=ACROSS)


def tell_by_input(atlas: Atlas, inputs: int) -> Twin:
    shown = len(atlas.numbers)
    which = f"the {shown} inputs of {inputs} with the largest weights" if shown < inputs else ""
    caption = f"The filter over {which or 'its inputs'}, blue below zero, red above."
    rows = zip(atlas.numbers, atlas.maps, strict=True)
    return Twin(
        caption,
        tuple(
            {"input": place, "min": float(values.min()), "max": float(values.max())}
            for place, values in rows
        ),
    )


def grid_of(filters: Numbers) -> Grid:
    """Of [outputs, 3, height, width], without labels: what is pointed at is told."""
    shape = len(filters), *filters.shape[2:]
    return replace(Grid.of(shape, len(filters) - 1, ACROSS), strip=0)


def draw(filters: Numbers, chosen: int | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Every filter as the colours that it answers to; a hovered one's number is told."""
    grid = grid_of(filters)
    width, height = grid.size
    drawn = look.figure(
        theme,
        _pointed_at(grid),
        margin=look.sides(),
        **look.picture_axes(width, height),
    )
    box = 0, 0, width, height
    drawn.update_layout(
        images=[look.picture(_sheet(filters, grid), box, name="filters", above=False)]
    )
    if chosen is not None and chosen < len(filters):
        left, top, right, bottom = grid.box(chosen)
        edge = {"color": theme.accent, "width": 3}
        drawn.add_shape(type="rect", x0=left, y0=top, x1=right, y1=bottom, line=edge)
    return drawn


def tell(filters: Numbers, layer: str) -> Twin:
    caption = (
        f"The {len(filters)} filters of {layer} in the colours that they answer to; grey is zero, "
        "each on its own scale."
    )
    names = ("red", "green", "blue")
    return Twin(
        caption,
        tuple(
            {"filter": place, **{n: float(c.mean()) for n, c in zip(names, each, strict=True)}}
            for place, each in enumerate(filters)
        ),
    )


def coloured(filters: Numbers) -> NDArray[np.uint8]:
    """[outputs, height, width, 3]: each filter's weights about grey, the largest at an end."""
    values = filters.astype(np.float64)
    ends = np.abs(values).max(axis=(1, 2, 3), keepdims=True)
    shares = GREY + GREY * np.divide(values, ends, out=np.zeros_like(values), where=ends > 0)
    colours: NDArray[np.uint8] = (shares * 255).round().astype(np.uint8)
    return colours.transpose(0, 2, 3, 1)


def _sheet(filters: Numbers, grid: Grid) -> str:
    colours = coloured(filters)
    down = nearest(colours.shape[1], grid.cell[1])
    right = nearest(colours.shape[2], grid.cell[0])
    large = colours[:, down[:, None], right]
    opaque = np.concatenate([large, np.full((*large.shape[:3], 1), 255, np.uint8)], axis=3)
    return data_url(Image.fromarray(tiled(opaque, grid.columns, (GAP, GAP), 0), "RGBA"))


def _pointed_at(grid: Grid) -> dict[str, Any]:
    """Invisible squares with their numbers."""
    numbers: Sequence[float] = [
        *range(grid.count),
        *[np.nan] * (grid.rows * grid.columns - grid.count),
    ]
    width, height = grid.pitch
    return {
        "type": "heatmap",
        "opacity": 0,
        "showscale": False,
        "z": np.array(numbers).reshape(grid.rows, grid.columns),
        "x0": width / 2,
        "dx": width,
        "y0": height / 2,
        "dy": height,
        "hovertemplate": "filter %{z}<extra></extra>",
        "hoverongaps": False,
    }
