"""What a person changes on a page becomes another address; from that the page is drawn anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, no_update

from servelens_dashboard import questions
from servelens_dashboard.components.choices import ADD_METHOD, CLASS, METHOD, PREDICTED
from servelens_dashboard.components.fields import with_field
from servelens_dashboard.desk import Desk
from servelens_dashboard.figures.field import place_at
from servelens_dashboard.ground import ground
from servelens_dashboard.lens import Lens
from servelens_dashboard.scene import set_scene
from servelens_dashboard.troubles import EXPECTED, tell, unexpected
from servelens_dashboard.url_state import Entry, View, parse, parse_entry, parse_named

HERE = (State("url", "pathname"), State("url", "search"))

PICKERS = (CLASS, ADD_METHOD)

Change = Callable[[Lens, View, Any, Any], View | None]


def register(app: Dash, desk: Desk) -> None:
    for input_, change in CHANGES:
        _steer(app, desk, input_, change)


def _steer(app: Dash, desk: Desk, input_: Input, change: Change) -> None:
    """`change` is told what was touched and its value, and says which view is wanted, if another.

    A control is also told of when it is only just drawn; it then says what the address says. Why
    nothing comes of a touch is said until the next one. A picker is empty again by then: a page
    that stays has it at other addresses too, of which it would have to be told.
    """
    emptied = [Output(name, "value") for name in PICKERS if name == input_.component_id]

    @app.callback(
        Output("url", "search", allow_duplicate=True),
        Output("working", "children", allow_duplicate=True),
        *emptied,
        input_,
        *HERE,
        prevent_initial_call=True,
    )
    async def steer(_: Any, pathname: str, search: str) -> Any:
        touched, value = ctx.triggered_id, ctx.triggered[0]["value"]
        empty = [None for _ in emptied]
        try:
            view = parse(pathname, search)
            wanted = await desk.run(change, desk.lens, view, touched, value)
        except EXPECTED as error:
            return no_update, tell(error).words, *empty
        except Exception as error:
            return no_update, unexpected(error).words, *empty
        return no_update if wanted in (None, view) else wanted.search, "", *empty


def choose_model(lens: Lens, view: View, _: Any, model: str) -> View | None:
    """Another model has other classes and layers; the photo stays."""
    named = parse_named(model)
    if named == _shown(lens, view).model:
        return None
    others = view.models[1:]
    return view.but(models=(named, *others), target=None, versus=None).at_layer(None)


def choose_models(lens: Lens, view: View, _: Any, models: list[str]) -> View | None:
    """The first one stays where all were taken away."""
    shown = _shown(lens, view).models
    named = tuple(map(parse_named, models)) or shown[:1]
    return None if named == shown else view.but(models=named, target=None, versus=None)


def choose_class(lens: Lens, view: View, _: Any, picked: str | None) -> View | None:
    """What it was set against goes, for that was chosen beside another."""
    if picked is None:
        return None
    return view.but(target=None if picked == PREDICTED else int(picked), versus=None)


def choose_method(lens: Lens, view: View, _: Any, method: str) -> View | None:
    if method == _shown(lens, view).methods[0].method:
        return None
    return view.but(methods=(Entry(method),))


def add_method(lens: Lens, view: View, _: Any, method: str | None) -> View | None:
    if not method:
        return None
    shown = _shown(lens, view)
    return shown.but(methods=(*shown.methods, Entry(method)))


def change_field(lens: Lens, view: View, field: Any, value: Any) -> View | None:
    if not field:
        return None
    scene = set_scene(view, lens)
    changed = parse_entry(field["of"])
    method = scene.methods.get(changed.method)
    if changed not in scene.view.methods or method is None:
        return None
    wanted = with_field(changed, method, field["field"], value)
    if wanted == changed:
        return None
    methods = tuple(wanted if entry == changed else entry for entry in scene.view.methods)
    return scene.view.but(methods=methods)


def choose_channel(lens: Lens, view: View, _: Any, click: dict[str, Any] | None) -> View | None:
    """As the picture says that was clicked, which may be of an order that is being changed."""
    if not click:
        return None
    return _shown(lens, view).at_channel(int(click["points"][0]["text"]))


def choose_unit(lens: Lens, view: View, _: Any, click: dict[str, Any] | None) -> View | None:
    if not click:
        return None
    scene = set_scene(view, lens)
    result = questions.channel(scene, questions.about(scene, lens))
    places = result.activations[0].to_numpy().shape[1:]
    return scene.view.but(place=place_at(*_where(click), ground(scene, result).seen, places))


def choose_layer(lens: Lens, view: View, _: Any, click: dict[str, Any] | None) -> View | None:
    if not click:
        return None
    return _shown(lens, view).at_layer(str(click["points"][0]["customdata"]))


def sort_channels(lens: Lens, view: View, _: Any, order: str) -> View | None:
    """The usual order is not written down."""
    return view.but(sort_by=None if order == questions.USUAL_SORT else order)


def scale_colours(lens: Lens, view: View, _: Any, scale: str) -> View | None:
    return view.but(scale=scale)


CHANGES: tuple[tuple[Input, Change], ...] = (
    (Input("model", "value"), choose_model),
    (Input("models", "value"), choose_models),
    (Input(CLASS, "value"), choose_class),
    (Input(METHOD, "value"), choose_method),
    (Input(ADD_METHOD, "value"), add_method),
    (Input({"heat": "atlas"}, "clickData"), choose_channel),
    (Input({"heat": "channel"}, "clickData"), choose_unit),
    (Input("network-graph", "clickData"), choose_layer),
    (Input("depth", "clickData"), choose_layer),
    (Input("sort", "value"), sort_channels),
    (Input("scale", "value"), scale_colours),
    (Input({"field": ALL, "of": ALL}, "value"), change_field),
)


def _shown(lens: Lens, view: View) -> View:
    """With all that the page has chosen by itself."""
    return set_scene(view, lens).view


def _where(click: dict[str, Any]) -> tuple[float, float]:
    point = click["points"][0]
    return float(point["x"]), float(point["y"])
