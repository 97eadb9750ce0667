"""What stands still is packed, all of it and nothing else, and the same is sent."""

from __future__ import annotations

import json
from typing import Any

import dash_mantine_components as dmc
import pytest
from dash import dcc, html, no_update

from servelens.client import Prediction
from servelens_dashboard.components.predictions import prediction_list
from servelens_dashboard.components.still import Still, still
from servelens_dashboard.components.written import written
from servelens_dashboard.url_state import View
from servelens_dashboard.views.shell import shell


def sent(drawn: Any) -> Any:
    return json.loads(written(drawn))


def unpacked(part: Any) -> Any:
    """As a person sees it: what is packed in the place of the package."""
    if isinstance(part, list):
        found = []
        for each in part:
            is_packed = isinstance(each, dict) and each.get("type") == "Still"
            found += unpacked(each["props"]["parts"]) if is_packed else [unpacked(each)]
        return found
    if isinstance(part, dict) and part.get("type") == "Still":
        (alone,) = unpacked(part["props"]["parts"])
        return alone
    return {key: unpacked(value) for key, value in part.items()} if isinstance(part, dict) else part


def test_a_list_of_predictions_is_one_component() -> None:
    predictions = [Prediction(index, f"class {index}", 0.2, 1.0) for index in range(5)]
    table = prediction_list(predictions, View())
    (packed,) = still([table])
    assert isinstance(packed, Still)
    assert sent(packed)["props"]["parts"] == [sent(table)]


@pytest.mark.parametrize(
    "known",
    [
        html.Div("filled later", id="predictions"),
        html.Div(id={"panel": "grad_cam", "part": "body"}),
        html.Button("Cancel", n_clicks=0),
        dcc.Link("remove", href="/", id={"remove": "grad_cam"}),
        dcc.Store("ask"),
        dcc.Graph(figure={}),
        dmc.Select(data=["a"]),
    ],
    ids=lambda part: part._type,
)
def test_what_callbacks_know_stays_a_component_and_so_does_all_around_it(known: Any) -> None:
    around = html.Section([html.H2("a title"), html.P("a word"), html.Div([known]), "an end"])
    drawn = still([around])[0]
    assert type(drawn) is html.Section
    title, inner, end = drawn.children
    assert type(title) is Still and len(title.parts) == 2
    assert type(inner) is html.Div and type(inner.children[0]) is type(known)
    assert end == "an end"
    assert unpacked(sent(drawn)) == sent(around)


def test_the_order_of_what_is_seen_stays() -> None:
    parts = ["a", None, html.B("b"), dcc.Interval(id="c"), html.I("d"), 5, dcc.Link("e", href="/")]
    drawn = still(parts)
    assert [type(part) for part in drawn] == [Still, dcc.Interval, Still]
    assert unpacked(sent(drawn)) == sent(parts)


def test_what_is_nothing_to_be_drawn_is_left_as_it_is() -> None:
    assert still(no_update) is no_update
    assert still("words") == "words"
    assert still(None) is None
    assert still(["a", None]) == ["a", None]
    assert still([]) == []


def test_what_is_for_several_places_stays_apart() -> None:
    first, second = still(([html.P("a")], [html.P("b"), html.Div(id="c")]))
    assert [type(part) for part in first] == [Still]
    assert [type(part) for part in second] == [Still, html.Div]


def test_what_is_packed_can_be_packed_again() -> None:
    once = still([html.P("a"), html.Div(id="b")])
    assert sent(still(once)) == sent(once)


def test_what_was_drawn_is_not_changed() -> None:
    around = html.Div([html.P("a"), html.Div(id="b")])
    before = sent(around)
    still(around)
    assert sent(around) == before


def test_the_page_around_all_pages_keeps_what_callbacks_know() -> None:
    whole, packed = shell(), still(shell())
    names = {part.id for part in whole._traverse() if hasattr(part, "id")}
    assert {part.id for part in packed._traverse() if hasattr(part, "id")} == names
    assert unpacked(sent(packed)) == sent(whole)
