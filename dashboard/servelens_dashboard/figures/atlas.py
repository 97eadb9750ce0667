"""Many channels as one picture, a frame with their numbers, and squares to hover over and click.

64 channels as 64 small graphs take a second and 12,000 nodes; so they take two images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from servelens.client.colours import Scale
from servelens_dashboard.figures import look
from servelens_dashboard.figures.grid import DENSITY, WIDTH, Grid
from servelens_dashboard.figures.look import LIGHT, Theme, number
from servelens_dashboard.figures.maps import unseen
from servelens_dashboard.figures.recolouring import HEAT, SOLID, Appearance, heat_png, mapped
from servelens_dashboard.figures.sprites import EDGE, Maps, frame, sprite
from servelens_dashboard.figures.twin import Twin

# In a figure's meta, beside what recolours it.
MARKED = "atlas"


@dataclass(frozen=True)
class Atlas:
    """`maps` are [C, H, W] of the channels with these numbers; `scales` has one scale for all of
    them, or one for each; `across` is how wide the picture is."""

    maps: Maps
    numbers: tuple[int, ...]
    scales: tuple[Scale, ...]
    across: int = WIDTH

    @classmethod
    def of(
        cls,
        maps: NDArray[Any],
        numbers: Sequence[int] | None = None,
        *,
        signed: bool = False,
        shared: bool = True,
        across: int = WIDTH,
    ) -> Atlas:
        """From a layer's maps as a server gave them; what is no map but a number is one square."""
        if not maps.size:
            raise ValueError(f"maps of shape {list(maps.shape)} have no numbers to draw")
        named = tuple(range(len(maps)) if numbers is None else numbers)
        if len(named) != len(maps):
            raise ValueError(f"{len(maps)} maps cannot be those of {len(named)} channels")
        rows = maps.shape[1] if maps.ndim > 2 else 1
        planes = np.array(maps.reshape(len(maps), rows, -1), np.float64)
        if not np.isfinite(planes).all():
            raise ValueError("some of the maps' numbers are not finite, and have no colour")
        below_zero = signed or bool(planes.min() < 0)
        each = tuple(Scale.of(values, signed=below_zero) for values in planes)
        return cls(planes, named, (Scale.shared(each),) if shared else each, across)

    @property
    def grid(self) -> Grid:
        return Grid.of(self.maps.shape, max(self.numbers), self.across)

    @property
    def is_shared(self) -> bool:
        return len(self.scales) == 1

    @property
    def signed(self) -> bool:
        return self.scales[0].signed


def draw(
    atlas: Atlas,
    appearance: Appearance = SOLID,
    theme: Theme = LIGHT,
    selected: int | None = None,
) -> go.Figure:
    grid = atlas.grid
    width, height = grid.size
    box = 0, 0, width, height
    around = -EDGE, -EDGE, width + EDGE, height + EDGE
    drawn = look.figure(
        theme,
        margin=look.sides(),
        height=height / DENSITY,
        meta={**mapped(signed=atlas.signed, photo=False), MARKED: places(atlas, theme)},
        **look.picture_axes(width, height),
    )
    source = heat_png(sprite(atlas.maps, atlas.scales, grid), appearance, signed=atlas.signed)
    drawn.update_layout(
        images=[
            look.picture(source, box, name=HEAT, above=False),
            look.picture(frame(grid, atlas.numbers, theme), around, name="frame", above=True),
        ]
    )
    drawn.add_trace(_hover(atlas, grid, appearance))
    if selected in atlas.numbers:
        left, top, right, bottom = grid.box(atlas.numbers.index(selected))
        line = _edge(theme)
        drawn.add_shape(type="rect", x0=left, y0=top, x1=right, y1=bottom, line=line)
    return drawn


def places(atlas: Atlas, theme: Theme) -> dict[str, Any]:
    """What assets/atlas.js takes to mark another channel, as `draw` marks the one selected."""
    grid = atlas.grid
    return {
        "numbers": list(atlas.numbers),
        "columns": grid.columns,
        "pitch": list(grid.pitch),
        "cell": list(grid.cell),
        "line": _edge(theme),
    }


def _edge(theme: Theme) -> dict[str, Any]:
    return {"color": theme.accent, "width": 3}


def tell(atlas: Atlas, layer: str, order: str, count: int | None = None) -> Twin:
    """`count` is how many channels the layer has, where that is known."""
    silent = sum(1 for values in atlas.maps if not values.any())
    low, high = float(atlas.maps.min()), float(atlas.maps.max())
    shown = f"{len(atlas.maps)} channels" if len(atlas.maps) > 1 else "one channel"
    if count is not None and count > len(atlas.maps):
        shown = f"{len(atlas.maps)} of {count} channels"
    scale = "on one scale" if atlas.is_shared else "each on its own scale"
    zero = f"; {silent} of them all zero" if silent else ""
    caption = f"{shown} of {layer}, {order}, {scale}, {number(low)} to {number(high)}{zero}."
    return Twin(
        caption,
        tuple(
            {
                "channel": channel,
                "mean": float(values.mean()),
                "min": float(values.min()),
                "max": float(values.max()),
            }
            for channel, values in zip(atlas.numbers, atlas.maps, strict=True)
        ),
    )


def _hover(atlas: Atlas, grid: Grid, appearance: Appearance) -> dict[str, Any]:
    """One square a channel: what a pointer finds, and what a click is on. Its text is the channel,
    for of all that a heat map knows of a point Dash passes on only what is one value."""
    means = atlas.maps.mean(axis=(1, 2))
    shape = grid.rows, grid.columns
    values = np.full(grid.rows * grid.columns, np.nan)
    values[: grid.count] = means
    words = [
        [rank, number(float(values.max()))]
        for rank, values in zip(_ranks(means), atlas.maps, strict=True)
    ]
    empty = len(values) - grid.count
    words += [[None, None]] * empty
    channels = [*atlas.numbers, *[None] * empty]
    return unseen(
        values.reshape(shape),
        (0, 0, *grid.size),
        Scale.shared(atlas.scales),
        appearance,
        text=np.array(channels, dtype=object).reshape(shape),
        customdata=np.array(words, dtype=object).reshape(*shape, 2),
        hovertemplate="channel %{text}<br>mean %{z:.3g}, rank %{customdata[0]}"
        "<br>max %{customdata[1]}<extra></extra>",
        hoverongaps=False,
        **({} if atlas.is_shared else {"showscale": False}),
    )


def _ranks(means: NDArray[np.float64]) -> list[int]:
    """1 for the channel with the largest mean."""
    ranks = np.empty(len(means), int)
    ranks[np.argsort(-means, kind="stable")] = np.arange(1, len(means) + 1)
    return [int(rank) for rank in ranks]
