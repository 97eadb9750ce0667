"""The page Compare: several models, or versions of one, on the same photo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from servelens.client import Activation, Prediction, Result
from servelens_dashboard.agreement import same_places, verdict
from servelens_dashboard.components.choices import class_picker, method_choice
from servelens_dashboard.components.fields import method_form
from servelens_dashboard.components.graph import graph, numbers
from servelens_dashboard.components.looks import scale_links
from servelens_dashboard.components.notice import hint, notice, retry_all
from servelens_dashboard.components.saving import folded, saving
from servelens_dashboard.figures import depth, steps
from servelens_dashboard.figures import predictions as bars
from servelens_dashboard.figures.evidence import Evidence
from servelens_dashboard.figures.look import Theme
from servelens_dashboard.figures.maps import plane
from servelens_dashboard.figures.twin import Twin
from servelens_dashboard.lens import Lens, looked_at
from servelens_dashboard.scene import Scene
from servelens_dashboard.troubles import Trouble
from servelens_dashboard.url_state import MOST_MODELS, Named, View, parse_named
from servelens_dashboard.views import panel
from servelens_dashboard.views.side import model_choices, side

# Of a model: its layers, why it has none to tell of, or None while it is awaited.
Answer = tuple[Activation, ...] | Trouble | None

# Of a model's panel: that it has answered, or the trouble for which it cannot.
TOLD, ANSWERED = "told", "answered"
AT_EQUAL_DEPTH = (
    "The strongest channel of each layer that stands for a model's depth, each on its own scale. "
    "What stands in one column is at the same share of the depth."
)


def page(scene: Scene, lens: Lens, pulse: str) -> list[html.Div]:
    chooser = dmc.MultiSelect(
        id="models",
        label="Models",
        data=model_choices(scene.overview),
        value=[str(named) for named in scene.view.models],
        maxValues=MOST_MODELS,
        placeholder="Add a model" if len(scene.view.models) < MOST_MODELS else "",
        searchable=True,
    )
    return [
        side(scene, lens, chooser=chooser),
        html.Div(_stage(scene, pulse), className="stage"),
        html.Div(_right(scene), className="right"),
    ]


def _right(scene: Scene) -> list[Any]:
    """What all are asked, of which one model's document tells; another may have other layers."""
    view, methods = scene.view, scene.methods
    asked = view.methods[0]
    method = methods.get(asked.method)
    alone = view.but(methods=(asked,))
    return [
        html.Div(id="compare-predictions"),
        class_picker(scene.labels),
        method_choice(methods.values(), asked.method),
        method_form(alone, asked, method, scene.map_layers) if method else None,
        html.Div(id="compare-depth"),
    ]


def predictions_body(
    view: View, models: Mapping[str, list[Prediction]], awaited: Sequence[str], theme: Theme
) -> list[Any]:
    """Of those that have answered."""
    have = "have" if len(awaited) > 1 else "has"
    waiting = hint(f"{' and '.join(awaited)} {have} not answered yet.") if awaited else None
    if not models:
        return [waiting]
    twin = bars.tell(models)
    return [
        html.P(verdict(models), className="sentence"),
        waiting,
        graph(bars.draw(models, theme=theme), twin, "prediction-bars"),
        numbers(twin),
        folded(_of(view, models), "predictions"),
    ]


def depth_body(view: View, models: Mapping[str, tuple[Activation, ...]], theme: Theme) -> list[Any]:
    if not models:
        return []
    twin = depth.tell(models)
    return [
        html.H2("On the way through the networks"),
        graph(depth.draw(models, theme=theme), twin, "compare-depth-graph"),
        html.P(twin.caption, className="hint"),
        numbers(twin),
        folded(_of(view, models), "statistics"),
    ]


def steps_body(view: View, models: Mapping[str, Answer], theme: Theme) -> list[Any]:
    """A row for each model of the page: its maps, why it has none, or None while it is awaited."""
    told = {name: layers for name, layers in models.items() if isinstance(layers, tuple)}
    columns = steps.most_columns(told)
    rows = [_row(name, answer, columns, theme) for name, answer in models.items()]
    twin = steps.tell(told)
    return [
        html.H2("At matching depth"),
        hint(AT_EQUAL_DEPTH),
        html.Div(
            rows,
            className="sideways steps",
            tabIndex=0,
            role="group",
            style={"--columns": str(columns)},
            **{"aria-label": twin.caption if told else "Maps at matching depth"},
        ),
        numbers(twin),
        folded(_of(view, told), "steps") if columns else None,
    ]


def _row(name: str, answer: Answer, columns: int, theme: Theme) -> html.Section:
    return html.Section([html.H3(name), *_steps(name, answer, columns, theme)])


def _steps(name: str, answer: Answer, columns: int, theme: Theme) -> list[Any]:
    if answer is None:
        return [hint("has not answered yet")]
    if isinstance(answer, Trouble):
        return [notice(answer, retry_all())]
    shown = steps.with_maps(answer)
    if not shown:
        why = next((layer.problem.words for layer in answer if layer.problem is not None), None)
        return [hint(why or "None of the layers that stand for its depth has a map.")]
    height = f"calc({steps.ratio(shown, columns):.4f} * 100cqw + {steps.LABEL}px)"
    twin = Twin(f"{name}: {steps.name_each(shown)}.")
    drawn = steps.draw(shown, columns, theme)
    return [graph(drawn, twin, {"heat": f"{name} by depth"}, height=height)]


def places(maps: Mapping[str, Result]) -> str:
    """Of the models of which it is known where in the photo they look."""
    looked = {name: _evidence(result) for name, result in maps.items() if result.input is not None}
    return same_places(looked) if looked else ""


def savings(view: View, shown: Sequence[str]) -> list[Any]:
    """What is there to be saved, of the models whose maps are shown."""
    return list(saving(_of(view, shown), "map").children) if shown else []


def _of(view: View, shown: Iterable[str]) -> View:
    """Of the models that have something to show."""
    return view.but(models=tuple(map(parse_named, shown)))


def _stage(scene: Scene, pulse: str) -> list[Any]:
    view = scene.view
    if view.photo is None:
        return [hint("Drop an image here, paste one, or choose a file.")]
    ask = {"href": view.href, "pulse": pulse}
    panels = [_panel(scene, named, view.photo, ask) for named in view.models]
    return [
        _alone(view.models[0]) if len(panels) == 1 else None,
        html.Div(
            [
                html.Div(panels, className="panels"),
                html.P(id="compare-places", className="sentence"),
                html.Div(id="compare-saving", className="saving"),
            ],
            id="compare-maps",
        ),
        html.Div(scale_links(view), className="scales") if len(panels) > 1 else None,
        html.Div(id="compare-steps"),
        dcc.Store(id="compare-ask", data=ask),
    ]


def _alone(named: Named) -> html.P:
    return html.P(
        f"A comparison is of 2 to {MOST_MODELS} models: choose another to stand beside {named}.",
        className="sentence",
    )


def _panel(scene: Scene, named: Named, photo: str, ask: Mapping[str, str]) -> Any:
    method = scene.view.methods[0].method
    title = html.Small(f" {scene.methods.get(method, {}).get('title', method)}")
    stores = [dcc.Store(id={"panel": str(named), "part": part}) for part in (TOLD, ANSWERED)]
    return panel.place(str(named), [str(named), title], photo, ask, *stores)


def _evidence(result: Result) -> Evidence:
    return Evidence.of(plane(result.attributions[0].to_numpy()), looked_at(result))
