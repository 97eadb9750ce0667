"""A panel's trust card, asked for after its map: at once where that is cheap, else on a click.

There is none for a part of a map, and none where there is no map, which says why itself."""

from __future__ import annotations

from functools import partial
from typing import Any

from dash import MATCH, ClientsideFunction, Dash, Input, Output, State
from dash.exceptions import PreventUpdate

from servelens_dashboard.callbacks.waiting import touched, touches
from servelens_dashboard.components.notice import retry_all
from servelens_dashboard.components.waiting import Touch
from servelens_dashboard.desk import Desk
from servelens_dashboard.figures.look import THEMES, Theme
from servelens_dashboard.lens import Lens
from servelens_dashboard.scene import scene_at, trust_request
from servelens_dashboard.url_state import parse_entry
from servelens_dashboard.views import trust
from servelens_dashboard.views.panel import WHOLE


def register(app: Dash, desk: Desk) -> None:
    def of_panel(part: str) -> dict[str, Any]:
        return {"panel": MATCH, "part": part}

    app.clientside_callback(
        ClientsideFunction("asks", "follow"),
        Output(of_panel(trust.ASK), "data"),
        Input(of_panel(WHOLE), "data", allow_optional=True),
        State(of_panel(trust.WANTED), "data"),
        State(of_panel(trust.ASK), "data"),
        prevent_initial_call=True,
    )

    def of_card(part: str) -> dict[str, Any]:
        return trust.wait_id(MATCH, part)

    @app.callback(
        output=Output(of_panel(trust.CARD), "children"),
        inputs={
            "ask": Input(of_panel(trust.ASK), "data"),
            "theme": Input("theme", "data"),
            "clicks": Input(of_panel(trust.CHECK), "n_clicks", allow_optional=True),
            "counts": touches(of_card),
        },
        state={"where": State(of_panel(trust.ASK), "id")},
        prevent_initial_call=True,
    )
    async def show_card(
        ask: dict[str, Any] | None,
        theme: str | None,
        clicks: int | None,
        counts: dict[str, int | None],
        where: dict[str, str],
    ) -> Any:
        touch = touched(counts, anew=trust.ASK)
        if ask is None or theme not in THEMES:
            raise PreventUpdate
        name = where["panel"]
        # Where one is waited for or was stopped, it has been wanted.
        is_wanted = ask["cheap"] or clicks or any(count is not None for count in counts.values())
        draw = partial(_card, desk.lens, ask["href"], name, THEMES[theme], touch, bool(is_wanted))
        return await desk.drawn(draw, retry_all())


def _card(lens: Lens, href: str, name: str, theme: Theme, touch: Touch, is_wanted: bool) -> Any:
    """One that is there costs nothing."""
    scene = scene_at(href, lens)
    if scene.view.photo is None:
        return []
    request = trust_request(scene, parse_entry(name))
    if not (touch.is_to_wait or lens.knows(scene.version, scene.view.photo, request)):
        return trust.waiting(name, is_stopped=touch.is_stopped) if is_wanted else trust.offer(name)
    result = lens.ask(scene.version, scene.view.photo, request)
    return trust.card(scene.view, name, result.attributions[0], theme)
