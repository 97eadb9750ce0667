"""What people drop on the page Models: where it is dropped, what was found in it, its building."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from servelens_dashboard.components.notice import hint, notice
from servelens_dashboard.figures.look import number
from servelens_dashboard.troubles import Trouble
from servelens_dashboard.url_state import MODELS, Named, View
from servelens_dashboard.workshop.archive import has_lens
from servelens_dashboard.workshop.drawer import Item
from servelens_dashboard.workshop.jobs import Job
from servelens_dashboard.workshop.recipe_form import (
    ARCHITECTURE,
    AS_IT_IS,
    BESIDE,
    CHANNELS,
    FIELDS,
    LABELS,
    LENS,
    NAME,
    Field,
)

MEGABYTE = 1e6
TICK_MS = 700
ARCHIVE_WARNING = (
    "An archive brings code of its own, which the server will run, and the dashboard's machine to "
    "find out what a lens can see. Register one only from people whom you trust."
)


def drop_zone(view: View, kept: Sequence[Item], recipes: Iterable[str]) -> html.Div:
    dropped = [
        _link(view, item.name, f"{item.file.name}, {number(item.bytes / MEGABYTE)} MB")
        for item in kept
    ]
    shipped = [_link(view, name, name) for name in recipes]
    return html.Div(
        [
            html.H2("Bring a model"),
            html.Button(
                "Drop a .pt or .pth, a .mar or a recipe's .toml, or choose a file",
                className="drop choose-file",
            ),
            _links("Dropped:", dropped),
            _links("Recipes that can be built:", shipped),
        ]
    )


def opened(item: Item, body: list[Any], under_way: list[Any]) -> html.Section:
    """The file that the address names."""
    size = f"{number(item.bytes / MEGABYTE)} MB"
    return html.Section(
        [
            html.H2([item.file.name, html.Small("" if item.is_recipe else f" {size}")]),
            html.Div(body, id="file-body"),
            html.Div(under_way, id="file-work"),
        ],
        className="file",
    )


def waiting(job: Job) -> list[Any]:
    """The file is being looked at; the page asks again."""
    return [_said(job), dcc.Interval(id="look-tick", interval=TICK_MS)]


def form(found: Mapping[str, Any]) -> list[Any]:
    """`found` is what the look has come to: a recipe, what it was told by, what else there is."""
    table = found["recipe"]
    model = table.get("model", {})
    known = found.get("architectures") or [model.get("architecture")]
    own_class = "architecture" not in model
    fields = [field for field in FIELDS if not (own_class and field.key == ARCHITECTURE)]
    return [
        html.Ul([html.Li(_sentence(said)) for said in found.get("findings", ())], className="hint"),
        html.Div(
            [_field(field, field.text(table), known, model.get("num_classes")) for field in fields],
            className="recipe",
        ),
    ]


def archive_form(item: Item) -> list[Any]:
    name = _field(FIELDS[0], item.file.stem, (), None)
    return [
        hint(ARCHIVE_WARNING),
        html.Div([name] if has_lens(item.file) else [name, _lens_switch()], className="recipe"),
    ]


def _lens_switch() -> dmc.Select:
    return dmc.Select(
        id={"file-field": LENS},
        label="Lens",
        description="Its own handler answers predictions as before, byte for byte",
        data=[
            {"value": BESIDE, "label": "put one beside its handler"},
            {"value": AS_IT_IS, "label": "register it as it is"},
        ],
        value=BESIDE,
        allowDeselect=False,
    )


def buttons(item: Item, kept: bool, can_build: bool = True) -> html.Div:
    """A recipe that ships is not there to be removed."""
    words = "Register" if item.is_archive else "Build and register"
    build = html.Button(words, id="file-build", n_clicks=0, className="button primary")
    remove = html.Button("Remove the file", id="file-remove", n_clicks=0, className="button")
    return html.Div([build if can_build else None, remove if kept else None], className="buttons")


def work(view: View, job: Job) -> list[Any]:
    """How the building goes, and what it has come to."""
    if job.problem is not None:
        return [_said(job), notice(Trouble(job.problem, "Change what is wrong, and build again."))]
    if job.result is not None:
        opened = View("explain", (Named(job.result),), view.photo)
        link = dcc.Link(f"Look inside {job.result}", href=opened.href)
        return [_said(job), html.P([f"{job.result} is registered. ", link], className="sentence")]
    progress = html.Progress(**{"aria-label": "Building"})
    return [_said(job), progress, dcc.Interval(id="build-tick", interval=TICK_MS)]


def _links(said: str, links: Sequence[Any]) -> Any:
    return html.Ul([html.Li(said), *links], className="kept") if links else None


def _link(view: View, name: str, words: str) -> html.Li:
    here = name == view.file
    return html.Li(
        dcc.Link(words, href=view.but(page=MODELS, file=name).href),
        className="here" if here else "",
        **{"aria-current": "true"} if here else {},
    )


def _said(job: Job) -> html.Ol:
    return html.Ol(
        [html.Li(line) for line in job.said if line],
        className="log",
        role="log",
        **{"aria-label": "Progress"},
    )


def _field(field: Field, text: str, names: Sequence[str], classes: int | None) -> Any:
    common = {
        "id": {"file-field": field.key},
        "label": field.label,
        "description": field.hint,
        "value": text,
    }
    if field.key == ARCHITECTURE and names:
        return dmc.Select(**common, data=list(names), searchable=True, allowDeselect=False)
    if field.key == CHANNELS:
        return dmc.Select(**{**common, "value": text or "3"}, data=["3", "1"], allowDeselect=False)
    if field.key == LABELS:
        counted = f"{classes} of them, one" if classes else "One"
        common["description"] = f"{counted} a line; or drop a .json or .txt that has them"
        return dmc.Textarea(**common, autosize=True, minRows=3, maxRows=8, className="labels")
    return dmc.TextInput(**common, required=field.key == NAME)


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}."
