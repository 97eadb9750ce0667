"""How a layer's weights are spread, as a histogram with zero marked."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from servelens.protocol import WeightStatistics
from servelens_dashboard.figures import look
from servelens_dashboard.figures.look import LIGHT, Theme, number, percent
from servelens_dashboard.figures.twin import Twin

HEIGHT = 140


def draw(told: WeightStatistics, theme: Theme = LIGHT) -> go.Figure:
    low, high = told.histogram.edges[:-1], told.histogram.edges[1:]
    bars: dict[str, Any] = {
        "type": "bar",
        "x": [(start + end) / 2 for start, end in zip(low, high, strict=True)],
        "y": told.histogram.counts,
        "width": [end - start for start, end in zip(low, high, strict=True)],
        "marker": {"color": theme.accent, "line": {"width": 0}},
        "customdata": list(zip(low, high, strict=True)),
        "hovertemplate": "%{customdata[0]:.3g} to %{customdata[1]:.3g}"
        "<br>%{y:,} weights<extra></extra>",
    }
    margin = look.sides(left=8, right=8, top=4, bottom=4)
    drawn = look.figure(theme, bars, height=HEIGHT, margin=margin, bargap=0, showlegend=False)
    drawn.update_xaxes(tickformat="~g", nticks=7, zeroline=True, zerolinecolor=theme.quiet)
    return drawn.update_yaxes(tickformat="~s", nticks=4)


def tell(told: WeightStatistics, layer: str) -> Twin:
    caption = (
        f"{told.count:,} weights of {layer}: mean {number(told.mean)}, std {number(told.std)}, "
        f"{number(told.min)} to {number(told.max)}; {percent(told.near_zero)} within "
        f"{number(told.near_zero_at_most)} of zero."
    )
    edges, counts = told.histogram.edges, told.histogram.counts
    return Twin(
        caption,
        tuple(
            {"from": low, "to": high, "weights": count}
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ),
    )
