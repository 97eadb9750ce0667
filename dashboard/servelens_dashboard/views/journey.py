"""The way through the network: each layer's strongest channel, to be played, and its numbers."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from servelens.client import Activation, Result
from servelens.client.colours import Scale
from servelens_dashboard.components.graph import graph, numbers
from servelens_dashboard.components.photo import barred, photo_graph
from servelens_dashboard.components.saving import folded
from servelens_dashboard.figures import depth, heat, steps
from servelens_dashboard.figures.look import Theme
from servelens_dashboard.figures.maps import plane
from servelens_dashboard.ground import ground
from servelens_dashboard.scene import Scene

STEP_MS = 900


def journey_body(scene: Scene, result: Result, theme: Theme) -> list[Any]:
    models = {scene.version.name: result.activations}
    twin = depth.tell(models)
    figure = depth.draw(models, chosen=scene.view.layer, theme=theme)
    return [
        *_player(scene, result, theme),
        graph(figure, twin, "depth"),
        html.P(twin.caption, className="hint"),
        numbers(twin),
        folded(scene.view, "journey"),
    ]


def _player(scene: Scene, result: Result, theme: Theme) -> list[Any]:
    """All frames are here from the start, so that playing asks the server for nothing."""
    stops = steps.with_maps(result.activations)
    if not stops:
        return []
    layers = [shown.layer for shown in stops]
    start = layers.index(scene.view.layer) if scene.view.layer in layers else len(layers) - 1
    frames = [_frame(scene, shown, result, theme) for shown in stops]
    first, twin = frames[start], steps.tell({scene.version.name: stops})
    return [
        photo_graph(first["figure"], twin, ground(scene, result).seen, {"heat": "journey"}),
        html.P(first["words"], id="journey-words", className="hint", role="status"),
        html.Div(
            [
                html.Button("Play", id="journey-play", className="button", n_clicks=0),
                dmc.Slider(
                    id="journey-step",
                    min=0,
                    max=max(1, len(stops) - 1),
                    value=start,
                    marks=[{"value": place} for place in range(len(stops))],
                    label=None,
                    thumbLabel="Depth",
                    size="sm",
                ),
            ],
            className="player",
        ),
        numbers(twin),
        dcc.Store(id="journey-frames", data=frames),
        dcc.Interval(id="journey-clock", interval=STEP_MS, disabled=True),
    ]


def _frame(scene: Scene, shown: Activation, result: Result, theme: Theme) -> dict[str, Any]:
    """Each on its own scale: a deep layer's numbers are of another size than a first one's."""
    values, channel = plane(shown.to_numpy()[0]), shown.channels[0].index
    scale = Scale.of(values, signed=False)
    under = ground(scene, result)
    figure = heat.draw(under.photo, under.seen, values, scale, theme=theme)
    words = f"{shown.layer}, channel {channel}: {scale.words()}"
    return {"figure": barred(figure), "words": words}
