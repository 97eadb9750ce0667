"""What a channel has learned: its filter, and where it stands among the weights of its layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from dash import dcc, html

from servelens.client import Result
from servelens.protocol import Weights
from servelens_dashboard.components.facts import fact_table
from servelens_dashboard.components.graph import graph, numbers
from servelens_dashboard.components.notice import hint
from servelens_dashboard.components.photo import picture_graph
from servelens_dashboard.components.saving import folded
from servelens_dashboard.figures import filters, weights
from servelens_dashboard.figures.atlas import draw as draw_atlas
from servelens_dashboard.figures.look import Theme, number
from servelens_dashboard.questions import sees_colours
from servelens_dashboard.scene import Scene

# Outputs, inputs, height and width.
FILTERS = 4


def learned_body(scene: Scene, result: Result, theme: Theme) -> list[Any]:
    (told,) = result.weights or ()
    if told.statistics is None:
        return _elsewhere(scene, told)
    twin = weights.tell(told.statistics, told.layer)
    return [
        html.H3("What it has learned"),
        *_filters(scene, told, theme),
        _own(told, scene.view.channel or 0),
        graph(weights.draw(told.statistics, theme), twin, "weights"),
        html.P(twin.caption, className="hint"),
        numbers(twin),
        folded(scene.view, "weights"),
    ]


def _elsewhere(scene: Scene, told: Weights) -> list[Any]:
    """A block or a stage: what is learned lies in the layers inside."""
    inside = [
        layer["name"]
        for layer in scene.capability["layers"]
        if layer["name"].startswith(f"{told.layer}.") and layer["leaf"] and layer["parameters"]
    ]
    if not inside:
        return [hint(told.problem.words)] if told.problem else []
    links = [html.Li(dcc.Link(name, href=scene.view.at_layer(name).href)) for name in inside]
    return [
        html.H3("What it has learned"),
        hint(f"{told.layer} has no weights of its own; the layers inside it have:"),
        html.Ul(links, className="inside"),
    ]


def _filters(scene: Scene, told: Weights, theme: Theme) -> list[Any]:
    if told.kernels is None or told.kernels.ndim != FILTERS:
        return []
    if sees_colours(scene):
        width, height = filters.grid_of(told.kernels).size
        twin = filters.tell(told.kernels, told.layer)
        figure = filters.draw(told.kernels, scene.view.channel, theme)
        drawn = graph(figure, twin, "filters", height=f"calc({height / width:.4f} * 100cqw)")
    else:
        inputs = filters.by_input(told.kernels[0])
        width, height = inputs.grid.size
        twin = filters.tell_by_input(inputs, len(told.kernels[0]))
        figure = draw_atlas(inputs, theme=theme)
        drawn = picture_graph(figure, twin, height / width, {"heat": "filter"})
    return [drawn, html.P(twin.caption, className="hint"), numbers(twin)]


def _own(told: Weights, channel: int) -> html.Table | None:
    """The channel's own filter among all."""
    if told.kernel_norms is None or channel >= len(told.kernel_norms):
        return None
    norm = float(told.kernel_norms[channel])
    rank = 1 + int(np.sum(told.kernel_norms > told.kernel_norms[channel]))
    size = f"{number(norm)}, rank {rank} of {len(told.kernel_norms)}"
    bias = {} if told.bias is None else {"bias": number(float(told.bias[channel]))}
    return fact_table({"norm of its filter": size, **bias})
