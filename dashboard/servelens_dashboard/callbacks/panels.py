"""The panels of Explain and Compare, each answered by itself.

A slow method's panel asks for a part, shows what there is, and asks for the next: it is the page
that goes on, so that Cancel, another view or a closed tab end it.
"""

from __future__ import annotations

from typing import Any

from dash import MATCH, Dash, Input, Output, State, no_update
from dash.exceptions import PreventUpdate

from servelens.client import Result
from servelens_dashboard.callbacks.waiting import touched, touches
from servelens_dashboard.components.notice import retry_this
from servelens_dashboard.components.saving import copying, keeping
from servelens_dashboard.desk import Desk
from servelens_dashboard.figures.look import THEMES
from servelens_dashboard.lens import Lens
from servelens_dashboard.parts import asked, is_awaited, known
from servelens_dashboard.scene import Scene, scene_of, set_scene
from servelens_dashboard.url_state import COMPARE, SHARED, Entry, View, parse_at, parse_entry
from servelens_dashboard.views import panel as panels
from servelens_dashboard.views.panel import ASK, FELLOWS, RETRY, Panel

# So often a person sees how far it has come.
A_LOOK_S = 0.7


def register(app: Dash, desk: Desk) -> None:
    def of_panel(part: str) -> dict[str, Any]:
        return {"panel": MATCH, "part": part}

    @app.callback(
        output=Output(of_panel("body"), "children"),
        inputs={
            "ask": Input(of_panel(ASK), "data"),
            "theme": Input("theme", "data"),
            "counts": {
                **touches(of_panel),
                FELLOWS: Input(of_panel(FELLOWS), "n_intervals", allow_optional=True),
                RETRY: Input(of_panel(RETRY), "n_clicks", allow_optional=True),
            },
        },
        state={"where": State(of_panel(ASK), "id")},
    )
    async def show_panel(
        ask: dict[str, str],
        theme: str | None,
        counts: dict[str, int | None],
        where: dict[str, str],
    ) -> Any:
        touch = touched(counts, anew=ASK)
        if theme not in THEMES:
            raise PreventUpdate
        panel = Panel(where["panel"], touch, THEMES[theme])
        retry = retry_this(panel.id(RETRY))
        return await desk.drawn(lambda: _panel(desk, ask["href"], panel), retry)


def subject(lens: Lens, view: View, name: str) -> tuple[Scene, Entry]:
    """Of Explain's panels each is a method, of Compare's a model."""
    if view.page == COMPARE:
        scene = scene_of(view, name, lens)
        return scene, scene.view.methods[0]
    return set_scene(view, lens), parse_entry(name)


def _panel(desk: Desk, href: str, panel: Panel) -> Any:
    view = parse_at(href)
    scene, entry = subject(desk.lens, view, panel.name)
    if not panel.is_waited_for and is_awaited(desk.lens, scene, entry):
        return panels.waiting(scene, panel)
    alone = scene.view.but(methods=(entry,))
    found = asked(desk.lens, scene, entry, A_LOOK_S if panel.is_waited_for else None)
    if not found.is_whole:
        body = panels.so_far(scene, panel, found, desk.lens.shelf.mask)
        return [*body, panels.progress(panel, found), copying(alone, "map")]
    fellows = _on_one_scale(desk.lens, view, panel.name)
    are_awaited = None in fellows
    if panel.touch.part == FELLOWS and are_awaited:
        return no_update
    results = [found.result, *(result for result in fellows if result is not None)]
    body = panels.body(scene, panel, results, desk.lens.shelf.mask)
    kept = (copying if view.page == COMPARE else keeping)(alone, "map")
    clock = panels.fellows_clock(panel) if are_awaited else None
    return [*body, kept, panels.whole(panel, href), clock]


def _on_one_scale(lens: Lens, view: View, name: str) -> list[Result | None]:
    """The others, None for one that is not there yet; the panel is drawn anew once all are."""
    if view.scale != SHARED:
        return []
    others = map(str, view.models if view.page == COMPARE else view.methods)
    return [known(lens, *subject(lens, view, other)) for other in others if other != name]
