"""The demo's story: offered on the first visit, told as far as the address says, and ended."""

from __future__ import annotations

import json
from typing import Any

from dash import Dash, Input, Output, State
from dash.exceptions import PreventUpdate

from servelens_dashboard.components.written import written
from servelens_dashboard.desk import Desk
from servelens_dashboard.story import STEPS, stage_of
from servelens_dashboard.url_state import BadAddress, parse
from servelens_dashboard.views import story


def register(app: Dash, desk: Desk) -> None:
    @app.callback(
        Output("story", "children"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("pulse", "data"),
        Input("story-closed", "data"),
        State("story", "children"),
    )
    async def tell_story(
        pathname: str, search: str, _: str, closed: bool | None, shown: Any
    ) -> Any:
        """A strip that is there already is left alone: most addresses change nothing of it."""
        strip = await desk.drawn(lambda: _strip(desk, pathname, search, bool(closed)))
        if json.loads(written(strip)) == shown:
            raise PreventUpdate
        return strip

    @app.callback(
        Output("story-closed", "data"), Input("story-close", "n_clicks"), prevent_initial_call=True
    )
    async def close(clicks: int) -> bool:
        if not clicks:
            raise PreventUpdate
        return True


def _strip(desk: Desk, pathname: str, search: str, closed: bool) -> list[Any]:
    try:
        view = parse(pathname, search)
    except BadAddress:
        return []
    stage = stage_of(desk.lens)
    if stage is None:
        return []
    if view.story in range(1, len(STEPS) + 1):
        return story.told(stage, view, view.story or 0)
    return [] if closed or not story.belongs_on(view) else story.offer(stage)
