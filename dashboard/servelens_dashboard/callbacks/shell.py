"""The frame around the pages: addresses to pages, the server's pulse, the way between pages."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, html, no_update

from servelens_dashboard.components.notice import notice
from servelens_dashboard.desk import Desk
from servelens_dashboard.lens import Lens
from servelens_dashboard.scene import set_scene
from servelens_dashboard.troubles import EXPECTED, tell
from servelens_dashboard.url_state import BadAddress, View, parse
from servelens_dashboard.views import explain
from servelens_dashboard.views.health import health
from servelens_dashboard.views.shell import page_links

PAGES = {"explain": explain.page}


def register(app: Dash, desk: Desk) -> None:
    @app.callback(
        Output("page", "children"),
        Output("pages", "children"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("pulse", "data"),
    )
    async def show_page(pathname: str, search: str, pulse: str) -> Any:
        return await desk.run(_page, desk.lens, pathname, search, pulse)

    @app.callback(
        Output("pulse", "data"),
        Output("health", "children"),
        Input("tick", "n_intervals"),
        State("pulse", "data"),
    )
    async def feel_pulse(_: int, before: str) -> Any:
        overview = await desk.run(desk.lens.overview)
        if overview.pulse == before:
            return no_update, no_update
        return overview.pulse, health(overview)


def _page(lens: Lens, pathname: str, search: str, pulse: str) -> tuple[Any, Any]:
    view = View()
    try:
        view = parse(pathname, search)
        scene = set_scene(view, lens)
        return PAGES[view.page](scene, lens, pulse), page_links(scene.view)
    except EXPECTED as error:
        body = html.Div(notice(tell(error)), className="stage alone")
        return body, page_links(View() if isinstance(error, BadAddress) else view)
