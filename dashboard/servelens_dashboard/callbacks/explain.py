"""The page Explain: predictions, and a panel a method, each answered by itself.

A slow method's panel asks for a part, shows what there is, and asks for the next: it is the page
that goes on, so that Cancel, another view or a closed tab end it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from dash import MATCH, Dash, Input, Output, State, ctx
from dash.exceptions import PreventUpdate

from servelens.client import Result
from servelens_dashboard.components.saving import saving
from servelens_dashboard.desk import Desk
from servelens_dashboard.figures.look import THEMES
from servelens_dashboard.lens import Lens
from servelens_dashboard.parts import asked, asked_whole, parts_of
from servelens_dashboard.scene import Scene, predict_request, scene_at
from servelens_dashboard.url_state import SHARED, Entry, parse_entry
from servelens_dashboard.views import explain
from servelens_dashboard.views.explain import Panel


def register(app: Dash, desk: Desk) -> None:
    lens = desk.lens

    @app.callback(Output("predictions", "children"), Input("predictions-ask", "data"))
    async def show_predictions(ask: dict[str, str]) -> Any:
        return await desk.drawn(lambda: _predictions(lens, ask["href"]))

    def of_panel(part: str) -> dict[str, Any]:
        return {"panel": MATCH, "part": part}

    @app.callback(
        Output(of_panel("body"), "children"),
        Input(of_panel("ask"), "data"),
        Input("theme", "data"),
        Input(of_panel("more"), "n_intervals", allow_optional=True),
        Input(of_panel("cancel"), "n_clicks", allow_optional=True),
        Input(of_panel("retry"), "n_clicks", allow_optional=True),
        State(of_panel("done"), "data", allow_optional=True),
        State(of_panel("ask"), "id"),
        State("url", "href"),
    )
    async def show_panel(
        ask: dict[str, str],
        theme: str | None,
        more: int | None,
        cancel: int | None,
        retry: int | None,
        done: int | None,
        where: dict[str, str],
        here: str,
    ) -> Any:
        """Buttons and clocks that were only just drawn have not been touched."""
        if theme not in THEMES:
            raise PreventUpdate
        touched = ctx.triggered_id["part"] if isinstance(ctx.triggered_id, dict) else None
        count = {"more": more, "cancel": cancel, "retry": retry}.get(touched or "", 1)
        if not count:
            raise PreventUpdate
        known = (done or 0) if touched in ("more", "cancel", "retry") else 0
        panel = Panel(where["panel"], known, touched == "cancel", THEMES[theme], _origin(here))
        return await desk.drawn(lambda: _panel(desk, ask["href"], panel), panel.id("retry"))


def _predictions(lens: Lens, href: str) -> Any:
    scene = scene_at(href, lens)
    if scene.view.photo is None:
        return []
    request = predict_request(scene)
    return explain.predictions(scene, lens.ask(scene.version, scene.view.photo, request))


def _panel(desk: Desk, href: str, panel: Panel) -> Any:
    scene = scene_at(href, desk.lens)
    entry = parse_entry(panel.name)
    of = parts_of(scene.methods.get(entry.method, {}))
    done = panel.done if panel.cancelled else min(of, panel.done + 1)
    result = asked(desk.lens, scene, entry, done, of)
    others = _others_on_the_scale(desk.lens, scene, entry) if done == of else []
    body = explain.panel_body(scene, panel, [result, *others], desk.lens.shelf.mask)
    progress = explain.progress(panel, done, of) if done < of else None
    copied = explain.copies(desk.settings, panel.origin, scene, entry)
    kept = saving(scene.view, panel.name) if done == of else None
    return [*body, progress, copied, kept]


def _others_on_the_scale(lens: Lens, scene: Scene, entry: Entry) -> list[Result]:
    if scene.view.scale != SHARED:
        return []
    return [asked_whole(lens, scene, other) for other in scene.view.methods if other != entry]


def _origin(href: str) -> str:
    address = urlsplit(href)
    return f"{address.scheme}://{address.netloc}"
