"""Photos by their address here, and maps over them."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from dash import html

from servelens.protocol import InputRef
from servelens_dashboard.components.graph import graph
from servelens_dashboard.figures.recolouring import HEAT
from servelens_dashboard.figures.twin import Twin

BAR_ROOM = 36
LYING = {
    "orientation": "h",
    "y": 0,
    "yanchor": "top",
    "ypad": 8,
    "xpad": 0,
    # Room for an end that is written long: where the colours end, and the numbers.
    "len": 0.6,
    "thickness": 8,
    "ticklabeloverflow": "allow",
}


def photo_src(name: str) -> str:
    return f"/photos/{name}"


def bare_photo(name: str, words: str = "the photo") -> html.Div:
    """What is shown until there is a map, or where there is none."""
    return html.Div(html.Img(src=photo_src(name), alt=words), className="bare")


def photo_graph(figure: go.Figure, twin: Twin, seen: InputRef, ident: Any) -> html.Div:
    """The photo under the map may be paler, see assets/look.css."""
    return html.Div(
        picture_graph(figure, twin, seen.height / seen.width, ident), className="over-photo"
    )


def picture_graph(figure: go.Figure, twin: Twin, ratio: float, ident: Any) -> html.Div:
    """A picture as wide as its column."""
    height = f"calc({ratio:.4f} * 100cqw + {BAR_ROOM}px)"
    return graph(barred(figure), twin, ident, height=height)


def barred(figure: go.Figure) -> go.Figure:
    """The colour bar lies under the picture and takes no width."""
    figure.update_layout(height=None, margin={"b": BAR_ROOM})
    return figure.update_traces(colorbar=LYING, selector={"name": HEAT})
