"""The page Explore: the atlas, the channel that is looked at, and the way through the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dash import Dash, Input, Output
from dash.exceptions import PreventUpdate

from servelens.client import Result
from servelens_dashboard.desk import Desk
from servelens_dashboard.figures.look import THEMES, Theme
from servelens_dashboard.scene import Scene, depth_request, scene_at
from servelens_dashboard.views import explore

Request = Callable[[Scene], dict[str, Any]]
Draw = Callable[[Scene, Result, Theme], Any]

# What each part of the page is drawn from, and how.
PARTS: Mapping[str, tuple[Request, Draw]] = {
    "atlas": (explore.atlas_request, explore.atlas_body),
    "channel": (explore.channel_request, explore.channel_body),
    "statistics": (explore.atlas_request, lambda scene, result, _: explore.statistics_body(result)),
    "progression": (depth_request, explore.depth_body),
}


def register(app: Dash, desk: Desk) -> None:
    for part, (request, draw) in PARTS.items():
        _wire(app, desk, part, request, draw)


def _wire(app: Dash, desk: Desk, part: str, request: Request, draw: Draw) -> None:
    @app.callback(Output(part, "children"), Input("explore-ask", "data"), Input("theme", "data"))
    async def show(ask: dict[str, str], theme: str | None) -> Any:
        if theme not in THEMES:
            raise PreventUpdate
        return await desk.drawn(lambda: _part(desk, ask["href"], request, draw, THEMES[theme]))


def _part(desk: Desk, href: str, request: Request, draw: Draw, theme: Theme) -> Any:
    scene = scene_at(href, desk.lens)
    wanted = request(scene)
    if wanted["activations"].get("channels") == [None]:
        return []
    return draw(scene, desk.lens.ask(scene.version, scene.view.photo or "", wanted), theme)
