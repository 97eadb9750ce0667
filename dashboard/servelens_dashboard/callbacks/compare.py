"""The page Compare beside its panels: what the models say, and how far they agree.

Each model is asked by itself and told of when it has answered, so that what they have in common is
drawn from those that are there, model by model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dash import ALL, MATCH, Dash, Input, Output, State, set_props
from dash.exceptions import PreventUpdate

from servelens.client import Result
from servelens_dashboard.callbacks.panels import subject
from servelens_dashboard.components.notice import retry_all
from servelens_dashboard.desk import Desk
from servelens_dashboard.figures.look import THEMES, Theme
from servelens_dashboard.lens import Lens
from servelens_dashboard.parts import known
from servelens_dashboard.scene import compare_request, scene_of
from servelens_dashboard.troubles import EXPECTED, Trouble, tell, unexpected
from servelens_dashboard.url_state import View, parse_at
from servelens_dashboard.views import compare
from servelens_dashboard.views.panel import ASK, WHOLE

# Of a model: None while it is awaited, then its trouble, empty where it has none.
Told = dict[str, str] | None


def register(app: Dash, desk: Desk) -> None:
    lens = desk.lens

    @app.callback(
        Output({"panel": MATCH, "part": compare.ANSWERED}, "data"),
        Input({"panel": MATCH, "part": ASK}, "data"),
        State({"panel": MATCH, "part": ASK}, "id"),
    )
    async def ask_model(ask: dict[str, str], where: dict[str, str]) -> bool:
        """Told past the output, for which Dash would hold all answers back till the last."""
        trouble = await desk.run(_trouble, lens, parse_at(ask["href"]), where["panel"])
        set_props({"panel": where["panel"], "part": compare.TOLD}, {"data": trouble})
        return True

    @app.callback(
        Output("compare-predictions", "children"),
        Output("compare-depth", "children"),
        Output("compare-steps", "children"),
        Input({"panel": ALL, "part": compare.TOLD}, "data"),
        Input("theme", "data"),
        State("compare-ask", "data"),
    )
    async def show_answers(told: list[Told], theme: str | None, ask: dict[str, str]) -> Any:
        if theme not in THEMES:
            raise PreventUpdate
        view = parse_at(ask["href"])
        has_told = dict(zip(map(str, view.models), told, strict=True))
        drawn = await desk.drawn(lambda: _told(lens, view, has_told, THEMES[theme]), retry_all())
        return drawn if isinstance(drawn, tuple) else (drawn, [], [])

    @app.callback(
        Output("compare-places", "children"),
        Output("compare-saving", "children"),
        Input({"panel": ALL, "part": WHOLE}, "data"),
        State("compare-ask", "data"),
    )
    async def show_places(whole: list[list[str]], ask: dict[str, str]) -> Any:
        view = parse_at(ask["href"])
        names = [name for name, href in whole if href == ask["href"]]
        maps = await desk.run(_maps, lens, view, names)
        return compare.places(maps), compare.savings(view, list(maps))


def _trouble(lens: Lens, view: View, name: str) -> dict[str, str]:
    """Why a model cannot answer; nothing where it does."""
    try:
        _answer(lens, view, name)
    except EXPECTED as error:
        return asdict(tell(error))
    except Exception as error:
        return asdict(unexpected(error))
    return {}


def _answer(lens: Lens, view: View, name: str) -> Result:
    scene = scene_of(view, name, lens)
    return lens.ask(scene.version, scene.view.photo or "", compare_request(scene))


def _told(lens: Lens, view: View, told: Mapping[str, Told], theme: Theme) -> Any:
    awaited = [name for name, trouble in told.items() if trouble is None]
    results = {name: _answer(lens, view, name) for name, trouble in told.items() if trouble == {}}
    predictions = {name: list(result.predictions) for name, result in results.items()}
    layers = {name: result.activations for name, result in results.items()}
    troubles = {name: Trouble(**trouble) for name, trouble in told.items() if trouble}
    answers: dict[str, compare.Answer] = {**layers, **troubles}
    return (
        compare.predictions_body(view, predictions, awaited, theme),
        compare.depth_body(view, layers, theme),
        compare.steps_body(view, {name: answers.get(name) for name in told}, theme),
    )


def _maps(lens: Lens, view: View, whole: list[str]) -> dict[str, Result]:
    """In the order of the page."""
    found = {
        name: known(lens, *subject(lens, view, name))
        for name in map(str, view.models)
        if name in whole
    }
    return {name: result for name, result in found.items() if result is not None}
