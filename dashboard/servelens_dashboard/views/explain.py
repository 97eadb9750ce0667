"""The page Explain: a photo with what speaks for a class, by one method or several."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from servelens.client import Result
from servelens_dashboard.components.notice import hint
from servelens_dashboard.components.photo import bare_photo, explained_photo
from servelens_dashboard.components.predictions import prediction_list
from servelens_dashboard.evidence import sentence
from servelens_dashboard.lens import Lens
from servelens_dashboard.scene import Scene
from servelens_dashboard.url_state import Entry
from servelens_dashboard.views.side import side


def page(scene: Scene, lens: Lens, pulse: str) -> list[html.Div]:
    return [
        side(scene, lens),
        html.Div(_panels(scene, pulse), className="stage"),
        html.Div(_right(scene, pulse), className="right"),
    ]


def _panels(scene: Scene, pulse: str) -> Any:
    if scene.view.photo is None:
        return hint("Drop an image here, paste one, or choose a file.")
    return html.Div(
        [_panel(scene, entry, scene.view.photo, pulse) for entry in scene.view.methods],
        className="panels",
    )


def _panel(scene: Scene, entry: Entry, photo: str, pulse: str) -> html.Section:
    """Filled by a callback of its own, so that a slow method holds up no other."""
    name = str(entry)
    method = scene.methods.get(entry.method, {})
    return html.Section(
        [
            html.H2([method.get("title", entry.method), _at(entry)]),
            html.Div(bare_photo(photo), id={"panel": name, "part": "body"}, className="body"),
            dcc.Store(
                id={"panel": name, "part": "ask"}, data={"href": scene.view.href, "pulse": pulse}
            ),
        ],
        className="panel",
    )


def _at(entry: Entry) -> html.Small | str:
    return html.Small(f" at {entry.layer}") if entry.layer else ""


def _right(scene: Scene, pulse: str) -> list[Any]:
    return [
        html.Div(id="predictions"),
        dcc.Store(id="predictions-ask", data={"href": scene.view.href, "pulse": pulse}),
    ]


def panel_body(scene: Scene, result: Result, lens: Lens) -> list[Any]:
    photo = scene.view.photo or ""
    entry = result.attributions[0]
    words = sentence(result, lens.shelf.mask(photo))
    if entry.map is None:
        return [bare_photo(photo), html.P(words, className="sentence")]
    return [
        explained_photo(photo, result, entry, words),
        html.P(words, className="sentence"),
    ]


def predictions(scene: Scene, result: Result) -> Any:
    return prediction_list(result.predictions, scene.view)
