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
from servelens_dashboard.parts import asked, asked_whole, is_awaited
from servelens_dashboard.scene import Scene, predict_request, scene_at
from servelens_dashboard.url_state import SHARED, Entry, parse_entry
from servelens_dashboard.views import explain
from servelens_dashboard.views.explain import Panel

# So often a person sees how far it has come.
A_LOOK_S = 0.7


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
        State(of_panel("ask"), "id"),
        State("url", "href"),
    )
    async def show_panel(
        ask: dict[str, str],
        theme: str | None,
        more: int | None,
        cancel: int | None,
        retry: int | None,
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
        panel = Panel(where["panel"], touched, THEMES[theme], _origin(here))
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
    if panel.touched not in ("more", "retry") and is_awaited(desk.lens, scene, entry):
        return explain.waiting(scene, panel)
    patience_s = None if panel.is_cancelled else A_LOOK_S
    found = asked(desk.lens, scene, entry, patience_s)
    others = _others_on_the_scale(desk.lens, scene, entry) if found.is_whole else []
    body = explain.panel_body(scene, panel, [found.result, *others], desk.lens.shelf.mask)
    progress = None if found.is_whole else explain.progress(panel, found)
    copied = explain.copies(desk.settings, panel.origin, scene, entry)
    kept = saving(scene.view, panel.name) if found.is_whole else None
    return [*body, progress, copied, kept]


def _others_on_the_scale(lens: Lens, scene: Scene, entry: Entry) -> list[Result]:
    if scene.view.scale != SHARED:
        return []
    return [asked_whole(lens, scene, other) for other in scene.view.methods if other != entry]


def _origin(href: str) -> str:
    address = urlsplit(href)
    return f"{address.scheme}://{address.netloc}"
