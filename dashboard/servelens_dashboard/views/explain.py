"""The page Explain: a photo with what speaks for a class, by one method or several."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from servelens.client import Result
from servelens_dashboard.components.choices import class_picker, method_picker
from servelens_dashboard.components.fields import method_form, remove_id, without
from servelens_dashboard.components.looks import scale_links
from servelens_dashboard.components.notice import hint
from servelens_dashboard.components.predictions import prediction_list
from servelens_dashboard.components.saving import folded
from servelens_dashboard.lens import Lens
from servelens_dashboard.scene import Scene
from servelens_dashboard.url_state import Entry, View
from servelens_dashboard.views import panel, trust
from servelens_dashboard.views.shell import News
from servelens_dashboard.views.side import samples, side

PREDICTIONS_ASK, SCALES = "predictions-ask", "scales"


def page(scene: Scene, lens: Lens, pulse: str) -> list[html.Div]:
    return [
        side(scene, lens),
        html.Div(_stage(scene, pulse), className="stage"),
        html.Div(_right(scene, pulse), className="right"),
    ]


def stays(before: View, view: View) -> bool:
    """Whether the page is the same but for the photo and the class."""
    have_photos = bool(before.photo and view.photo)
    return have_photos and before.with_photo(None) == view.with_photo(None)


def news(scene: Scene, lens: Lens, pulse: str) -> News:
    """What each part is asked for now, and where links that keep photo and class lead. A trust card
    goes at once, for it is of the map before."""
    view, ask = scene.view, ask_of(scene, pulse)
    told: list[tuple[Any, dict[str, Any]]] = [
        (trust.card_id(str(entry)), {"children": []}) for entry in view.methods
    ]
    told.append((PREDICTIONS_ASK, {"data": ask}))
    for entry in view.methods:
        method = scene.methods.get(entry.method, {})
        told += [
            ({"panel": str(entry), "part": panel.ASK}, {"data": ask}),
            (trust.wanted_id(str(entry)), {"data": trust.wanted(method, ask)}),
        ]
        if len(view.methods) > 1:
            told.append((remove_id(entry), {"href": without(view, entry).href}))
    if len(view.methods) > 1:
        told.append((SCALES, {"children": scale_links(view)}))
    return [*told, ("samples", {"children": samples(view, lens)})]


def _stage(scene: Scene, pulse: str) -> list[Any]:
    photo = scene.view.photo
    if photo is None:
        return [hint("Drop an image here, paste one, or choose a file.")]
    panels = [_panel(scene, entry, photo, pulse) for entry in scene.view.methods]
    several = len(panels) > 1
    scales = html.Div(scale_links(scene.view), id=SCALES, className="scales") if several else None
    return [html.Div(panels, className="panels"), scales]


def _panel(scene: Scene, entry: Entry, photo: str, pulse: str) -> Any:
    name, ask = str(entry), ask_of(scene, pulse)
    method = scene.methods.get(entry.method, {})
    at = html.Small(f" at {entry.layer}") if entry.layer else ""
    title = [method.get("title", entry.method), at]
    return panel.place(name, title, photo, ask, trust.place(name, method, ask))


def ask_of(scene: Scene, pulse: str) -> dict[str, str]:
    """What a part of the page is drawn from; another pulse draws it anew."""
    return {"href": scene.view.href, "pulse": pulse}


def _right(scene: Scene, pulse: str) -> list[Any]:
    methods = scene.methods
    forms = [
        method_form(scene.view, entry, methods[entry.method], scene.map_layers)
        for entry in scene.view.methods
        if entry.method in methods
    ]
    return [
        html.Div(id="predictions"),
        dcc.Store(id=PREDICTIONS_ASK, data=ask_of(scene, pulse)),
        class_picker(scene.labels),
        method_picker(methods.values()),
        *forms,
    ]


def predictions(scene: Scene, result: Result) -> list[Any]:
    view = scene.view
    return [prediction_list(result.predictions, view), folded(view, "predictions")]
