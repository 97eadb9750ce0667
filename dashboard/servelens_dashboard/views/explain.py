"""The page Explain: a photo with what speaks for a class, by one method or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from servelens.client import Attribution, Result
from servelens.client.colours import Scale
from servelens_dashboard.components.fields import (
    method_form,
    method_picker,
    remove_id,
    without,
)
from servelens_dashboard.components.graph import numbers
from servelens_dashboard.components.looks import scale_links
from servelens_dashboard.components.notice import hint
from servelens_dashboard.components.photo import bare_photo, photo_graph, photo_src
from servelens_dashboard.components.predictions import prediction_list
from servelens_dashboard.figures import field, heat
from servelens_dashboard.figures.evidence import Evidence, Mask, sentence, who
from servelens_dashboard.figures.look import Theme, number, percent
from servelens_dashboard.figures.maps import plane
from servelens_dashboard.lens import Lens, looked_at
from servelens_dashboard.parts import Progress
from servelens_dashboard.scene import Scene, explain_request
from servelens_dashboard.settings import Settings
from servelens_dashboard.snippets import as_curl, as_python
from servelens_dashboard.url_state import Entry, View
from servelens_dashboard.views import trust
from servelens_dashboard.views.shell import News
from servelens_dashboard.views.side import samples, side

NEXT_MS = 30
PREDICTIONS_ASK, SCALES = "predictions-ask", "scales"


@dataclass(frozen=True)
class Panel:
    """One method's place on the page, and which of its buttons or clocks was touched. `origin` is
    where the browser found us."""

    name: str
    touched: str | None
    theme: Theme
    origin: str

    @property
    def is_cancelled(self) -> bool:
        return self.touched == "cancel"

    def id(self, part: str) -> dict[str, str]:
        return {"panel": self.name, "part": part}


def page(scene: Scene, lens: Lens, pulse: str) -> list[html.Div]:
    return [
        side(scene, lens),
        html.Div(_stage(scene, pulse), className="stage"),
        html.Div(_right(scene, pulse), className="right"),
    ]


def stays(before: View, view: View) -> bool:
    """Whether the page is the same but for the photo and the class."""
    return bool(before.photo and view.photo) and _of_any_photo(before) == _of_any_photo(view)


def _of_any_photo(view: View) -> View:
    return view.but(photo=None, target=None, versus=None)


def news(scene: Scene, lens: Lens, pulse: str) -> News:
    """What each part is asked for now, and where links that keep photo and class lead."""
    view, ask = scene.view, _ask(scene, pulse)
    told: list[tuple[Any, dict[str, Any]]] = [(PREDICTIONS_ASK, {"data": ask})]
    for entry in view.methods:
        method = scene.methods.get(entry.method, {})
        told += [
            ({"panel": str(entry), "part": "ask"}, {"data": ask}),
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


def _panel(scene: Scene, entry: Entry, photo: str, pulse: str) -> html.Section:
    """Filled by a callback of its own, so that a slow method holds up no other."""
    name = str(entry)
    method = scene.methods.get(entry.method, {})
    title = method.get("title", entry.method)
    at = html.Small(f" at {entry.layer}") if entry.layer else ""
    return html.Section(
        [
            html.H2([title, at]),
            html.Div(bare_photo(photo), id={"panel": name, "part": "body"}, className="body"),
            dcc.Store(id={"panel": name, "part": "ask"}, data=_ask(scene, pulse)),
            trust.place(name, method, _ask(scene, pulse)),
        ],
        className="panel",
    )


def _ask(scene: Scene, pulse: str) -> dict[str, str]:
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
        dcc.Store(id=PREDICTIONS_ASK, data=_ask(scene, pulse)),
        method_picker(list(methods.values()), scene.view.methods),
        *forms,
    ]


def panel_body(
    scene: Scene, panel: Panel, results: Sequence[Result], mask_of: Callable[[str], Mask | None]
) -> list[Any]:
    """The first result is this panel's own; the others share its scale."""
    result, photo = results[0], scene.view.photo or ""
    seen = looked_at(result)
    shown = result.attributions[0]
    if shown.map is None:
        return [bare_photo(photo), html.P(shown.why_nothing, className="notice", role="alert")]
    values = plane(shown.map)
    scale = Scale.shared([_scale(other.attributions[0]) for other in results if _has_map(other)])
    named = who(shown.target, result.predictions)
    words = sentence(named, Evidence.of(values, seen), mask_of(photo))
    figure = heat.draw(photo_src(photo), seen, values, scale, theme=panel.theme)
    if shown.layer is not None:
        field.followed(figure, scene.field_of(shown.layer), seen, values.shape)
    twin = heat.tell(values, scale, shown.title)
    return [
        photo_graph(figure, twin, seen, {"heat": panel.name}),
        html.P(words, className="sentence"),
        html.P(_small_print(result, shown, scale), className="hint"),
        numbers(twin),
    ]


def progress(panel: Panel, found: Progress) -> html.Div:
    share = percent(found.done / found.of)
    words = f"{share}, stopped" if panel.is_cancelled else share
    bar = html.Progress(value=str(found.done), max=str(found.of), **{"aria-label": "done"})
    return _under_way(panel, [bar, html.Span(words)])


def waiting(scene: Scene, panel: Panel) -> list[Any]:
    """For a method that no part can be asked of. Its worker cannot be stopped, which a person may
    know."""
    said = (
        "Not waited for. The worker finishes what it has begun; others are answered after that."
        if panel.is_cancelled
        else "This method comes as a whole. Cancel ends the wait, not the worker's work."
    )
    bar = [] if panel.is_cancelled else [html.Progress(**{"aria-label": "under way"})]
    return [bare_photo(scene.view.photo or ""), _under_way(panel, bar), hint(said)]


def _under_way(panel: Panel, told: list[Any]) -> html.Div:
    """Either Cancel and the clock that asks for what comes next, or a way on."""
    if panel.is_cancelled:
        button = html.Button("Go on", id=panel.id("retry"), n_clicks=0, className="button")
        going = []
    else:
        button = html.Button("Cancel", id=panel.id("cancel"), n_clicks=0, className="button")
        going = [dcc.Interval(id=panel.id("more"), interval=NEXT_MS, max_intervals=1)]
    return html.Div([*told, button, *going], className="progress", role="status")


def copies(settings: Settings, dashboard: str, scene: Scene, entry: Entry) -> html.Div:
    """The call as text; `dashboard` is our own address, where the photo is fetched."""
    view = scene.view
    request = explain_request(scene, entry)
    call = settings, dashboard, view.models[0], view.photo or "", request
    made = (("Copy as curl", as_curl(*call)), ("Copy as Python", as_python(*call)))
    return html.Div(
        [
            dmc.CopyButton(
                value=text,
                children=name,
                copiedChildren="Copied",
                size="xs",
                buttonProps={"variant": "default"},
            )
            for name, text in made
        ],
        className="copies",
    )


def predictions(scene: Scene, result: Result) -> Any:
    return prediction_list(result.predictions, scene.view)


def _has_map(result: Result) -> bool:
    return result.attributions[0].map is not None


def _scale(shown: Attribution) -> Scale:
    return Scale.of(plane(shown.to_numpy()), signed=shown.signed)


def _small_print(result: Result, shown: Attribution, scale: Scale) -> str:
    """What the map's numbers are, and what they have cost."""
    cost = result.cost
    passes = f"{cost.forwards} forward and {cost.backwards} backward"
    parts = [scale.words(), f"{passes} passes, {number(cost.ms.get('compute', 0))} ms"]
    if shown.convergence_delta is not None:
        parts.append(f"convergence delta {shown.convergence_delta:.2g}")
    if shown.coarsened:
        asked = ", ".join(f"{name} {value}" for name, value in shown.coarsened.items())
        parts.append(f"made coarser to keep within the time allowed; asked for: {asked}")
    return "; ".join(parts)
