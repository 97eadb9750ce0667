"""What of a page no callback knows: one component, however much is in it.

At whatever changes on a page, Dash asks each of its components whether that is news to it, and each
one that is new is a change by itself; a list of predictions has sixty. A still part is drawn by
assets/still.js as it was sent, and counts as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from itertools import groupby
from typing import Any

from dash import dcc
from dash.development.base_component import Component

HTML = "dash_html_components"


class Still(Component):
    _namespace, _type = "servelens", "Still"
    _prop_names = available_properties = ("parts",)
    _valid_wildcard_attributes = available_wildcard_properties = ()

    def __init__(self, parts: Sequence[Any]) -> None:
        super().__init__(parts=list(parts))


def still(drawn: Any) -> Any:
    """The same to be seen, with what stands still packed; what has an id is left to callbacks. What
    is for several places comes as a tuple, and stays one."""
    if isinstance(drawn, tuple):
        return tuple(map(still, drawn))
    if isinstance(drawn, list):
        return _packed(drawn)
    if not isinstance(drawn, Component):
        return drawn
    if _is_still(drawn):
        return Still([drawn])
    if not hasattr(drawn, "children"):
        return drawn
    around = copy(drawn)
    around.children = still(drawn.children)
    return around


def _packed(parts: Iterable[Any]) -> list[Any]:
    """What stands still side by side is one."""
    packed: list[Any] = []
    for are_still, some in groupby(parts, _is_still):
        together = list(some)
        if not are_still:
            packed += map(still, together)
        elif any(isinstance(part, Component) for part in together):
            packed.append(Still(together))
        else:
            packed += together
    return packed


def _is_still(part: Any) -> bool:
    if isinstance(part, (list, tuple)):
        return all(map(_is_still, part))
    if not isinstance(part, Component):
        return part is None or isinstance(part, (str, int, float))
    is_known = hasattr(part, "id") or hasattr(part, "n_clicks")
    is_plain = part._namespace == HTML or isinstance(part, dcc.Link)
    return is_plain and not is_known and _is_still(getattr(part, "children", None))
