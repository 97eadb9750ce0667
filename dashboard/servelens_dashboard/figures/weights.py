"""How a layer's weights are spread, as a histogram about zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from servelens_dashboard.figures import look
from servelens_dashboard.figures.look import LIGHT, Theme, number, percent
from servelens_dashboard.figures.twin import Twin

# Odd, so that zero is in the middle of a bar and not on an edge.
BARS = 61
HEIGHT = 200


def draw(weights: NDArray[Any], theme: Theme = LIGHT) -> go.Figure:
    edges, counts = spread(weights)
    middles = (edges[:-1] + edges[1:]) / 2
    bars = go.Bar(
        x=middles,
        y=counts,
        width=float(edges[1] - edges[0]),
        marker={"color": theme.accent},
        customdata=np.stack([edges[:-1], edges[1:]], axis=1),
        hovertemplate="%{customdata[0]:.3g} to %{customdata[1]:.3g}"
        "<br>%{y:,} weights<extra></extra>",
    )
    drawn = look.figure(theme, bars, height=HEIGHT, bargap=0, showlegend=False)
    drawn.update_xaxes(tickformat="~g", nticks=7)
    return drawn.update_yaxes(tickformat="~s", nticks=4)


def tell(weights: NDArray[Any], layer: str) -> Twin:
    edges, counts = spread(weights)
    values = weights.astype(np.float64)
    middle = counts[BARS // 2] / values.size
    caption = (
        f"{values.size:,} weights of {layer}: mean {number(float(values.mean()))}, std "
        f"{number(float(values.std()))}, {number(float(values.min()))} to "
        f"{number(float(values.max()))}; {percent(float(middle))} within "
        f"{number(float(edges[BARS // 2 + 1]))} of zero."
    )
    return Twin(
        caption,
        tuple(
            {"from": float(low), "to": float(high), "weights": int(count)}
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ),
    )


def spread(weights: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Edges of bars that are symmetric about zero, and how many weights are in each."""
    values = weights.astype(np.float64).ravel()
    if not values.size:
        raise ValueError("a layer without weights has nothing to draw")
    if not np.isfinite(values).all():
        raise ValueError("some of the weights are not finite, and have no place in a histogram")
    reach = float(np.abs(values).max()) or 1.0
    counts, edges = np.histogram(values, bins=BARS, range=(-reach, reach))
    return edges, counts
