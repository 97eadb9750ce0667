"""The page Explain beside its panels: the predictions."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output

from servelens_dashboard.components.notice import retry_all
from servelens_dashboard.desk import Desk
from servelens_dashboard.lens import Lens
from servelens_dashboard.parts import predicted
from servelens_dashboard.scene import scene_at
from servelens_dashboard.views import explain


def register(app: Dash, desk: Desk) -> None:
    @app.callback(Output("predictions", "children"), Input("predictions-ask", "data"))
    async def show_predictions(ask: dict[str, str]) -> Any:
        return await desk.drawn(lambda: _predictions(desk.lens, ask["href"]), retry_all())


def _predictions(lens: Lens, href: str) -> Any:
    scene = scene_at(href, lens)
    if scene.view.photo is None:
        return []
    return explain.predictions(scene, predicted(lens, scene))
