"""The page Compare: each model is asked the same, and one that cannot answer holds up no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash import Dash, Input, Output
from dash.exceptions import PreventUpdate

from servelens.client import Result
from servelens_dashboard.desk import Desk
from servelens_dashboard.figures.look import THEMES, Theme
from servelens_dashboard.lens import Lens
from servelens_dashboard.parts import asked_whole
from servelens_dashboard.scene import Scene, depth_request, each_scene, predict_request, scene_at
from servelens_dashboard.troubles import EXPECTED, tell
from servelens_dashboard.url_state import View
from servelens_dashboard.views import compare

Draw = Callable[[Lens, View, Theme], Any]


def register(app: Dash, desk: Desk) -> None:
    parts: dict[str, Draw] = {
        "compare-maps": _maps,
        "compare-predictions": _predictions,
        "compare-depth": _depth,
    }
    for part, draw in parts.items():
        _wire(app, desk, part, draw)


def _wire(app: Dash, desk: Desk, part: str, draw: Draw) -> None:
    @app.callback(Output(part, "children"), Input("compare-ask", "data"), Input("theme", "data"))
    async def show(ask: dict[str, str], theme: str | None) -> Any:
        if theme not in THEMES:
            raise PreventUpdate
        view = (await desk.run(scene_at, ask["href"], desk.lens)).view
        return await desk.drawn(lambda: draw(desk.lens, view, THEMES[theme]))


def _maps(lens: Lens, view: View, theme: Theme) -> Any:
    results: dict[str, Result | str] = {}
    methods: dict[str, str] = {}
    for name, scene in each_scene(view, lens).items():
        if not isinstance(scene, Scene):
            results[name] = tell(scene).what
            continue
        entry = scene.view.methods[0]
        methods[name] = scene.methods.get(entry.method, {}).get("title", entry.method)
        results[name] = _map(lens, scene)
    return compare.maps_body(view, results, methods, theme)


def _map(lens: Lens, scene: Scene) -> Result | str:
    try:
        result = asked_whole(lens, scene, scene.view.methods[0])
    except EXPECTED as error:
        return tell(error).what
    shown = result.attributions[0]
    return shown.why_nothing if shown.map is None else result


def _predictions(lens: Lens, view: View, theme: Theme) -> Any:
    answers = _answers(lens, view, predict_request)
    models = {name: list(result.predictions) for name, result in answers.items()}
    return compare.predictions_body(models, theme)


def _depth(lens: Lens, view: View, theme: Theme) -> Any:
    answers = _answers(lens, view, depth_request)
    models = {name: result.activations for name, result in answers.items()}
    return compare.depth_body(models, theme)


def _answers(
    lens: Lens, view: View, request: Callable[[Scene], dict[str, Any]]
) -> dict[str, Result]:
    """Of those that answer; why another does not stands where its map would be."""
    answers = {}
    for name, scene in each_scene(view, lens).items():
        if isinstance(scene, Scene):
            answers[name] = lens.ask(scene.version, view.photo or "", request(scene))
    return answers
