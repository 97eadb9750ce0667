"""The page Explain: predictions, and a panel a method, each answered by itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from dash import MATCH, Dash, Input, Output, State, no_update

from servelens_dashboard.desk import Desk
from servelens_dashboard.lens import Lens
from servelens_dashboard.scene import Scene, explain_request, predict_request, set_scene
from servelens_dashboard.url_state import View, parse, parse_entry, parse_named
from servelens_dashboard.views import explain


def register(app: Dash, desk: Desk) -> None:
    @app.callback(
        Output("predictions", "children"),
        Input("predictions-ask", "data"),
    )
    async def show_predictions(ask: dict[str, str]) -> Any:
        return await desk.drawn(lambda: _predictions(desk.lens, ask["href"]))

    @app.callback(
        Output({"panel": MATCH, "part": "body"}, "children"),
        Input({"panel": MATCH, "part": "ask"}, "data"),
        State({"panel": MATCH, "part": "ask"}, "id"),
    )
    async def show_panel(ask: dict[str, str], where: dict[str, str]) -> Any:
        return await desk.drawn(lambda: _panel(desk.lens, ask["href"], where["panel"]))

    @app.callback(
        Output("url", "search"),
        Input("model", "value"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def choose_model(model: str, pathname: str, search: str) -> Any:
        view = parse(pathname, search)
        named = parse_named(model)
        if view.model in (None, named):
            return no_update
        return _other_model(view, named).search


def _other_model(view: View, named: Any) -> View:
    """Another model has other classes and other layers, and the photo stays."""
    return view.but(
        models=(named, *view.models[1:]), target=None, versus=None, layer=None, channel=None
    )


def _scene(lens: Lens, href: str) -> Scene:
    address = urlsplit(href)
    return set_scene(parse(address.path, address.query), lens)


def _predictions(lens: Lens, href: str) -> Any:
    scene = _scene(lens, href)
    if scene.view.photo is None:
        return []
    request = predict_request(len(scene.labels))
    result = lens.ask(scene.version, scene.view.photo, request)
    return explain.predictions(scene, result)


def _panel(lens: Lens, href: str, entry: str) -> Any:
    scene = _scene(lens, href)
    request = explain_request(scene.view, parse_entry(entry))
    result = lens.ask(scene.version, scene.view.photo or "", request)
    return explain.panel_body(scene, result, lens)
