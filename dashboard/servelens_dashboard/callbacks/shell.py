"""The frame around the pages: addresses to pages, the server's pulse, the way between pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from dash import Dash, Input, Output, State, ctx, dcc, html, no_update, set_props
from dash.exceptions import PreventUpdate

from servelens_dashboard.components.notice import notice, retry_all
from servelens_dashboard.components.still import still
from servelens_dashboard.desk import Desk
from servelens_dashboard.lens import Lens
from servelens_dashboard.scene import Scene, set_scene
from servelens_dashboard.staying import news_of
from servelens_dashboard.troubles import EXPECTED, tell, unexpected
from servelens_dashboard.url_state import MODELS, MODELS_PATH, View, parse, parse_at
from servelens_dashboard.views import compare, explain, explore, models
from servelens_dashboard.views.health import health
from servelens_dashboard.views.shell import News, page_links

PAGES = {"explain": explain.page, "explore": explore.page, "compare": compare.page}


def register(app: Dash, desk: Desk) -> None:
    @app.callback(
        Output("page", "children"),
        Output("pages", "children"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("pulse", "data"),
        Input("again", "data"),
        State("permalink", "href", allow_optional=True),
        State("drawn", "data", allow_optional=True),
        State("predictions-ask", "data", allow_optional=True),
    )
    async def show_page(
        pathname: str,
        search: str,
        _: str,
        again: int | None,
        permalink: str | None,
        drawn: dict[str, str] | None,
        shown: dict[str, str] | None,
    ) -> Any:
        touched, address = list(ctx.triggered_prop_ids.values()), f"{pathname}{search}"
        # A pulse may overtake the way to another address, of which nothing is drawn then; the page
        # that is still there is not asked for any more.
        here = drawn if drawn and drawn["address"] == address else None
        if here and touched == ["pulse"]:
            if pathname == MODELS_PATH:
                raise PreventUpdate  # its table looks by itself, and what was told there stays
            shown = shown or {"href": permalink or "", "pulse": here["pulse"]}
        if here and permalink and touched in (["pulse"], ["again"]):
            # What a page has chosen by itself stays, even if the model has lost its workers.
            chosen = urlsplit(permalink)
            pathname, search = chosen.path, chosen.query
        if staying := await desk.run(_staying, desk.lens, pathname, search, again, shown):
            links, pulse, news = staying
            for name, properties in news:
                set_props(name, properties)
            return no_update, still([*links, _drawn(address, pulse)])
        page, links, pulse = await desk.run(_page, desk, pathname, search, again)
        return still(page), still([*links, _drawn(address, pulse)])

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


def _drawn(address: str, pulse: str) -> dcc.Store:
    """For what the page was drawn: it need not be drawn again for the same."""
    return dcc.Store(id="drawn", data={"address": address, "pulse": pulse})


def _staying(
    lens: Lens, pathname: str, search: str, again: int | None, shown: dict[str, str] | None
) -> tuple[list[Any], str, News] | None:
    """The links of a page that stays as it is, its pulse, and what of it is other than before."""
    if shown is None:
        return None
    try:
        scene = set_scene(parse(pathname, search), lens)
        before = parse_at(shown["href"])
    except EXPECTED:
        return None  # told where the page is drawn
    pulse = _pulse(scene, again)
    if shown["pulse"] != pulse:
        return None
    news = news_of(before, scene, lens, pulse)
    return None if news is None else (page_links(scene.view, scene.overview), pulse, news)


def _pulse(scene: Scene, again: int | None) -> str:
    return f"{scene.pulse} {again}" if again else scene.pulse


def _page(desk: Desk, pathname: str, search: str, again: int | None) -> tuple[Any, list[Any], str]:
    """What there is to be seen at an address, its links, and its pulse if it has one."""
    view, overview = View(), desk.lens.overview()
    try:
        view = parse(pathname, search)
        if view.page == MODELS:
            return models.page(view, desk.lens, desk.settings), page_links(view, overview), ""
        scene = set_scene(view, desk.lens)
        pulse = _pulse(scene, again)
        drawn = PAGES[view.page](scene, desk.lens, pulse)
        return drawn, page_links(scene.view, overview), pulse
    except EXPECTED as error:
        trouble = tell(error)
    except Exception as error:
        trouble = unexpected(error)
    told = html.Div(notice(trouble, retry_all()), className="stage alone")
    return told, page_links(view, overview), ""
