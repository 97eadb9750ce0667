"""How every graph looks: greys and one accent for the interface, colour for the data alone."""

from __future__ import annotations

import functools
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from servelens.client.wording import chance as chance
from servelens.client.wording import number as number
from servelens.client.wording import percent as percent

# Users' pictures are private: nothing offers to send a graph anywhere.
GRAPH_CONFIG = {"showSendToCloud": False, "plotlyServerURL": "", "displaylogo": False}

# A drag enlarges and a double click ends that; the button that is left saves the picture.
NO_BUTTONS = ["zoom", "pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale", "resetScale"]
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
SMALL, USUAL = 11, 13
CLEAR = "rgba(0,0,0,0)"


@dataclass(frozen=True)
class Theme:
    """`paper` is the page's own colour behind a graph, `quiet` the ink of what is secondary."""

    name: str
    paper: str
    ink: str
    quiet: str
    line: str
    fill: str
    accent: str


# As assets/look.css has them.
LIGHT = Theme("light", "#ffffff", "#1d2126", "#5c636c", "#d9dbdf", "#b6bbc3", "#2f66a8")
DARK = Theme("dark", "#17191c", "#e6e8ea", "#a0a6ae", "#373b41", "#5a616a", "#8ab4e8")
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


def figure(theme: Theme, *traces: Any, **layout: Any) -> go.Figure:
    return go.Figure(traces, {"template": _template(theme), **layout})


def sides(left: int = 0, right: int = 0, top: int = 0, bottom: int = 0) -> dict[str, int]:
    """A graph's margins, in pixels."""
    return {"l": left, "r": right, "t": top, "b": bottom}


def picture_axes(width: float, height: float) -> dict[str, Any]:
    """Axes of a picture: its own pixels from the upper left corner, as wide as they are high."""
    hidden = {"visible": False, "constrain": "domain"}
    down = {"range": [height, 0], "scaleanchor": "x", "constraintoward": "top"}
    return {"xaxis": {"range": [0, width], **hidden}, "yaxis": {**down, **hidden}}


def picture(source: str, box: Sequence[float], *, name: str, above: bool) -> dict[str, Any]:
    """A layout image that fills a box (left, top, right, bottom). Plotly keeps one image a place
    and layer, so that two over each other are one below the traces and one above them."""
    left, top, right, bottom = box
    return {
        "source": source,
        "name": name,
        "layer": "above" if above else "below",
        "xref": "x",
        "yref": "y",
        "x": left,
        "y": top,
        "sizex": right - left,
        "sizey": bottom - top,
        "sizing": "stretch",
    }


def note(text: str, theme: Theme) -> dict[str, Any]:
    """What a graph says where it has nothing to draw, in its middle."""
    place = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
    return {"text": plain(text), "font": {"color": theme.ink}, "bgcolor": theme.paper, **place}


def plain(text: str) -> str:
    """Labels and names come from a server; Plotly reads text as HTML."""
    return html.escape(text, quote=False)


def brief(text: str, letters: int = 24) -> str:
    """A label where there is little room; its whole is hovered over and in the table."""
    return text if len(text) <= letters else f"{text[: letters - 1].rstrip()}…"


@functools.cache
def _template(theme: Theme) -> go.layout.Template:
    axis = {
        "gridcolor": theme.line,
        "linecolor": theme.line,
        "zerolinecolor": theme.line,
        "zeroline": False,
        "ticks": "",
        "tickfont": {"size": SMALL, "color": theme.quiet},
        "title": {"font": {"size": SMALL, "color": theme.quiet}},
        "automargin": True,
    }
    shown = {"bgcolor": theme.paper, "bordercolor": theme.line, "font": {"color": theme.ink}}
    layout = go.Layout(
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"family": FONT, "size": USUAL, "color": theme.ink},
        colorway=[theme.accent, theme.quiet, theme.fill],
        margin=sides(8, 8, 8, 8),
        hoverlabel=shown,
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "bgcolor": CLEAR},
        modebar={"bgcolor": CLEAR, "color": theme.quiet, "remove": NO_BUTTONS},
        xaxis=axis,
        yaxis=axis,
        separators=".,",
    )
    return go.layout.Template(layout=layout)
