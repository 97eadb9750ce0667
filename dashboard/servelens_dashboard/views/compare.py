"""The page Compare: several models, or versions of one, on the same photo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from servelens.client import Activation, Prediction, Result
from servelens.client.colours import Scale
from servelens_dashboard.agreement import same_places, verdict
from servelens_dashboard.components.graph import graph, numbers
from servelens_dashboard.components.looks import scale_links
from servelens_dashboard.components.notice import hint
from servelens_dashboard.components.photo import bare_photo, photo_graph, photo_src
from servelens_dashboard.components.saving import saving
from servelens_dashboard.figures import depth, heat
from servelens_dashboard.figures import predictions as bars
from servelens_dashboard.figures.evidence import Evidence, who
from servelens_dashboard.figures.look import Theme
from servelens_dashboard.figures.maps import plane
from servelens_dashboard.lens import Lens, looked_at
from servelens_dashboard.scene import Scene
from servelens_dashboard.url_state import MOST_MODELS, SHARED, Named, View
from servelens_dashboard.views.side import model_choices, side


def page(scene: Scene, lens: Lens, pulse: str) -> list[html.Div]:
    view = compared(scene)
    chooser = dmc.MultiSelect(
        id="models",
        label="Models",
        data=model_choices(scene.overview),
        value=[str(named) for named in view.models],
        maxValues=MOST_MODELS,
        searchable=True,
    )
    ask = {"href": view.href, "pulse": pulse}
    return [
        side(scene.but(view), lens, chooser=chooser),
        html.Div(_stage(view, ask), className="stage"),
        html.Div(
            [html.Div(id="compare-predictions"), html.Div(id="compare-depth")], className="right"
        ),
    ]


def compared(scene: Scene) -> View:
    """A comparison is of two at least: beside a single model stand the others that can answer."""
    view = scene.view
    if len(view.models) > 1:
        return view
    ready = [
        Named(name)
        for name, versions in scene.overview.models.items()
        if versions[0].is_ready and name != view.models[0].name
    ]
    return view.but(models=(*view.models, *ready)[:MOST_MODELS]).at_layer(None)


def maps_body(
    view: View, results: Mapping[str, Result | str], methods: Mapping[str, str], theme: Theme
) -> list[Any]:
    """A panel a model; a text says why there is no map."""
    drawn = {name: result for name, result in results.items() if not isinstance(result, str)}
    shared = Scale.shared([_scale(result) for result in drawn.values()]) if drawn else None
    panels = []
    for name, result in results.items():
        title = html.H2([name, html.Small(f" {methods.get(name, '')}")])
        if isinstance(result, str):
            said = [bare_photo(view.photo or ""), html.P(result, className="notice", role="alert")]
        else:
            scale = shared if view.scale == SHARED and shared else _scale(result)
            said = _map(name, result, scale, view, theme)
        panels.append(html.Section([title, *said], className="panel"))
    places = (
        same_places({name: _evidence(result) for name, result in drawn.items()}) if drawn else ""
    )
    return [
        html.Div(panels, className="panels"),
        html.P(places, className="sentence"),
        saving(view, "maps") if drawn else None,
    ]


def predictions_body(models: Mapping[str, list[Prediction]], theme: Theme) -> list[Any]:
    twin = bars.tell(models)
    return [
        html.P(verdict(models), className="sentence"),
        graph(bars.draw(models, theme=theme), twin, "prediction-bars"),
        numbers(twin),
    ]


def depth_body(models: Mapping[str, tuple[Activation, ...]], theme: Theme) -> list[Any]:
    twin = depth.tell(models)
    return [
        html.H2("On the way through the networks"),
        graph(depth.draw(models, theme=theme), twin, "compare-depth-graph"),
        html.P(twin.caption, className="hint"),
        numbers(twin),
    ]


def _stage(view: View, ask: Mapping[str, str]) -> list[Any]:
    if view.photo is None:
        return [hint("Drop an image here, paste one, or choose a file.")]
    waiting = [
        html.Section([html.H2(str(named)), bare_photo(view.photo)], className="panel")
        for named in view.models
    ]
    return [
        html.Div(html.Div(waiting, className="panels"), id="compare-maps"),
        scale_links(view),
        dcc.Store(id="compare-ask", data=ask),
    ]


def _map(name: str, result: Result, scale: Scale, view: View, theme: Theme) -> list[Any]:
    shown, seen = result.attributions[0], looked_at(result)
    values = plane(shown.to_numpy())
    figure = heat.draw(photo_src(view.photo or ""), seen, values, scale, theme=theme)
    twin = heat.tell(values, scale, f"{name}: {shown.title}")
    return [
        photo_graph(figure, twin, seen, {"heat": f"compare {name}"}),
        html.P(who(shown.target, result.predictions), className="sentence"),
        html.P(twin.caption, className="hint"),
        numbers(twin),
    ]


def _scale(result: Result) -> Scale:
    shown = result.attributions[0]
    return Scale.of(plane(shown.to_numpy()), signed=shown.signed)


def _evidence(result: Result) -> Evidence:
    return Evidence.of(plane(result.attributions[0].to_numpy()), looked_at(result))
