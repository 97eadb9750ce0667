"""The network from left to right: a box for each stage, in it the layers that stand for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import plotly.graph_objects as go

from servelens_dashboard.figures import look
from servelens_dashboard.figures.look import LIGHT, Theme, plain
from servelens_dashboard.figures.stages import Network, Stage, stages_of
from servelens_dashboard.figures.twin import Twin

BOX = 0.9
LETTERS = 12
# In rows: a heading of two, one for each layer shown.
HEADING = 1.5
ROW_PIXELS = 30
STAGE_PIXELS = 104
LINK = 0.72
ARC = 0.55


def draw(
    capability: Mapping[str, Any], chosen: str | None = None, theme: Theme = LIGHT
) -> go.Figure:
    """A clicked point's `customdata` is the name of its layer."""
    network = stages_of(capability, chosen)
    rows = max(len(stage.shown) for stage in network.stages)
    depth = HEADING + rows
    arcs = any(end - origin != 1 for origin, end in network.links)
    top = -ARC - 0.15 if arcs else -0.1
    drawn = look.figure(
        theme,
        height=round(ROW_PIXELS * (depth - top + 0.1)),
        margin=look.sides(),
        showlegend=False,
        hovermode="closest",
        xaxis={"range": [-0.55, len(network.stages) - 0.45], "visible": False, "fixedrange": True},
        yaxis={"range": [depth + 0.1, top], "visible": False, "fixedrange": True},
        shapes=[*_boxes(network, depth, chosen, theme), *_links(network, theme)],
        annotations=list(_headings(network, theme)),
    )
    return drawn.add_trace(_points(network, chosen, theme))


def width(capability: Mapping[str, Any]) -> int:
    """In pixels, so that what is written in a box stays in it."""
    return STAGE_PIXELS * len(stages_of(capability).stages)


def tell(capability: Mapping[str, Any]) -> Twin:
    network = stages_of(capability)
    layers = sum(len(stage.layers) for stage in network.stages)
    parameters = sum(stage.parameters for stage in network.stages)
    names = ", ".join(stage.name for stage in network.stages)
    caption = (
        f"{layers} layers with {parameters:,} parameters in {len(network.stages)} stages: {names}."
    )
    return Twin(
        caption,
        tuple(
            {
                "stage": stage.name,
                "layers": len(stage.layers),
                "parameters": stage.parameters,
                "output": shape_words(stage.shape),
                "shown": ", ".join(stage.shown),
                "leads to": ", ".join(
                    network.stages[end].name for origin, end in network.links if origin == place
                ),
            }
            for place, stage in enumerate(network.stages)
        ),
    )


def shape_words(shape: tuple[int, ...] | None) -> str:
    return " × ".join(map(str, shape)) if shape else "unknown"


def tail(name: str) -> str:
    """The end of a layer's name, which tells it from its neighbours: …2.conv3 of layer4.2.conv3."""
    short = name
    while len(short) > LETTERS and "." in short:
        short = f"…{short.lstrip('…').partition('.')[2]}"
    return look.brief(short, LETTERS)


def _boxes(
    network: Network, depth: float, chosen: str | None, theme: Theme
) -> Iterator[dict[str, Any]]:
    for place, stage in enumerate(network.stages):
        yield {
            "type": "rect",
            "x0": place - BOX / 2,
            "x1": place + BOX / 2,
            "y0": 0,
            "y1": depth,
            "line": {"color": theme.accent if chosen in stage.layers else theme.line, "width": 1},
            "layer": "below",
        }


def _links(network: Network, theme: Theme) -> Iterator[dict[str, Any]]:
    """Straight to the next stage, over the top to any other."""
    for origin, end in network.links:
        if end - origin == 1:
            start, stop = origin + BOX / 2, end - BOX / 2
            path = f"M{start},{LINK}L{stop},{LINK}"
        else:
            path = f"M{origin},0C{origin},{-ARC} {end},{-ARC} {end},0"
        line = {"color": theme.quiet, "width": 1.5}
        yield {"type": "path", "path": path, "line": line, "layer": "below"}


def _headings(network: Network, theme: Theme) -> Iterator[dict[str, Any]]:
    for place, stage in enumerate(network.stages):
        yield _text(place, 0.45, f"<b>{plain(look.brief(stage.name, LETTERS))}</b>", theme.ink)
        yield _text(place, 1.0, shape_words(stage.shape), theme.quiet)


def _text(x: float, y: float, text: str, colour: str) -> dict[str, Any]:
    font = {"size": look.SMALL, "color": colour}
    return {"x": x, "y": y, "text": text, "showarrow": False, "font": font}


def _points(network: Network, chosen: str | None, theme: Theme) -> dict[str, Any]:
    points = [
        (place, HEADING + row + 0.5, layer, stage)
        for place, stage in enumerate(network.stages)
        for row, layer in enumerate(stage.shown)
    ]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [x - BOX / 2 + 0.07 for x, *_ in points],
        "y": [y for _, y, *_ in points],
        "text": [plain(tail(layer)) for _, _, layer, _ in points],
        "textposition": "middle right",
        "textfont": {"size": look.SMALL},
        "customdata": [layer for _, _, layer, _ in points],
        "hovertext": [_hover(layer, stage) for _, _, layer, stage in points],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {
            "size": 10,
            "color": [theme.accent if p[2] == chosen else theme.paper for p in points],
            "line": {"width": 1.5, "color": theme.accent},
        },
    }


def _hover(layer: str, stage: Stage) -> str:
    count = f"{len(stage.layers)} layers, {stage.parameters:,} parameters"
    return f"{plain(layer)}<br>{plain(stage.name)}: {count}"
