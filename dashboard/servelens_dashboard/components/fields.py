"""A method's form, from what the capability document declares of its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from servelens_dashboard.components.notice import hint
from servelens_dashboard.url_state import Entry, Scalar, View

Method = Mapping[str, Any]
# The layer is no parameter of a method, and is chosen beside them.
LAYER = "@layer"
ON, OFF = "on", "off"
NUMBERS = ("integer", "number")
# A picture is no part of an address, and the address is all that a page knows.
DRAWING = "image/png"


def method_form(view: View, entry: Entry, method: Method, layers: Sequence[str]) -> html.Div:
    """`layers` are those that it can be asked at."""
    fields = [_field(entry, param) for param in method["params"] if param["type"] != DRAWING]
    if method["scope"] == "layer":
        fields.insert(0, _layer_field(entry, layers, view.layer))
    remove = dcc.Link(
        ["remove", html.Span(f" {method['title']}", className="visually-hidden")],
        href=without(view, entry).href,
        id=remove_id(entry),
        className="remove",
    )
    return html.Div(
        [
            html.Div(
                [html.H3(method["title"]), remove if len(view.methods) > 1 else None],
                className="title",
            ),
            html.P(method.get("summary") or "", className="hint"),
            html.Div(fields, className="fields") if fields else None,
            *map(_elsewhere, (param for param in method["params"] if param["type"] == DRAWING)),
        ],
        className="method",
    )


def without(view: View, entry: Entry) -> View:
    return view.but(methods=tuple(other for other in view.methods if other != entry))


def remove_id(entry: Entry) -> dict[str, str]:
    return {"remove": str(entry)}


def with_field(entry: Entry, method: Method, name: str, value: Any) -> Entry:
    """What a changed field makes of an entry; the default is not written down."""
    if name == LAYER:
        return Entry(entry.method, value or None, entry.params)
    declared = {param["name"]: param for param in method["params"]}
    if name not in declared:
        return entry
    read = read_value(declared[name], value)
    return entry.with_param(name, None if read == declared[name]["default"] else read)


def read_value(param: Mapping[str, Any], value: Any) -> Scalar | None:
    """A field's value as the parameter's type; None is the default."""
    if value is None or value == "":
        return None
    if param["type"] == "boolean":
        return bool(value == ON)
    if param["type"] in NUMBERS and isinstance(value, (int, float)):
        return int(value) if param["type"] == "integer" else float(value)
    return str(value)


def _elsewhere(param: Mapping[str, Any]) -> html.P:
    return hint(f"{_words(param)}: {param['help']}. A call from Python or a shell may give it.")


def _words(param: Mapping[str, Any]) -> str:
    return str(param["name"]).replace("_", " ")


def _layer_field(entry: Entry, layers: Sequence[str], default: str | None) -> dmc.Select:
    return dmc.Select(
        id={"field": LAYER, "of": str(entry)},
        label="layer",
        data=list(layers),
        value=entry.layer,
        placeholder=default or "",
        searchable=True,
        clearable=True,
        size="xs",
    )


def _field(entry: Entry, param: Mapping[str, Any]) -> Any:
    value = dict(entry.params).get(param["name"], param["default"])
    common = {
        "id": {"field": param["name"], "of": str(entry)},
        "label": _words(param),
        "description": param["help"],
        "size": "xs",
    }
    if param["type"] == "boolean":
        data = [ON, OFF]
        return dmc.Select(data=data, value=ON if value else OFF, allowDeselect=False, **common)
    if param["choices"]:
        data = [str(choice) for choice in param["choices"]]
        return dmc.Select(data=data, value=str(value), allowDeselect=False, **common)
    if param["type"] in NUMBERS:
        return dmc.NumberInput(
            value=value,
            min=param["min"],
            max=param["max"],
            step=1 if param["type"] == "integer" else 0.01,
            allowDecimal=param["type"] == "number",
            clampBehavior="strict",
            debounce=600,
            **common,
        )
    return dmc.TextInput(value=str(value), debounce=600, **common)
