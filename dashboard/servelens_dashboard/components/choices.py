"""What is chosen among all that a capability document lists: methods, and the class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import dash_mantine_components as dmc

from servelens_dashboard.components.fields import Method

METHOD, ADD_METHOD, CLASS = "method", "add-method", "class"
PREDICTED = "predicted"
# Of a thousand classes nobody reads all; a few letters of one find it.
SHOWN_CLASSES = 50
BESIDE_THE_FIELD = {"width": 320, "position": "bottom-end"}


def method_picker(methods: Iterable[Method]) -> dmc.Select:
    """One more beside those that are there."""
    return _among(methods, ADD_METHOD, "Methods", None, placeholder="Set another beside it")


def method_choice(methods: Iterable[Method], chosen: str) -> dmc.Select:
    """The one that all are asked for."""
    return _among(methods, METHOD, "Method", chosen, allowDeselect=False)


def class_picker(labels: Sequence[str]) -> dmc.Select:
    """Any class, also one that is not among the most probable; two may have the same name."""
    classes = [(str(index), f"{label} ({index})") for index, label in enumerate(labels)]
    return dmc.Select(
        id=CLASS,
        label="Class",
        placeholder="Explain another",
        data=[
            {"value": value, "label": label}
            for value, label in ((PREDICTED, "the predicted one"), *classes)
        ],
        value=None,
        limit=SHOWN_CLASSES,
        searchable=True,
        nothingFoundMessage="No class has these letters or this number.",
        comboboxProps=BESIDE_THE_FIELD,
    )


def _among(
    methods: Iterable[Method], where: str, label: str, chosen: str | None, **more: Any
) -> dmc.Select:
    """By families, those that this model cannot take with the reason."""
    families: dict[str, list[dict[str, Any]]] = {}
    for method in sorted(methods, key=lambda method: str(method["title"])):
        families.setdefault(method["family"], []).append(_option(method))
    return dmc.Select(
        id=where,
        label=label,
        data=[{"group": family, "items": items} for family, items in sorted(families.items())],
        searchable=True,
        disabled=not families,
        value=chosen,
        comboboxProps=BESIDE_THE_FIELD,
        **more,
    )


def _option(method: Method) -> dict[str, Any]:
    if method["supported"]:
        return {"value": method["name"], "label": method["title"]}
    label = f"{method['title']} ({method['reason']})"
    return {"value": method["name"], "label": label, "disabled": True}
