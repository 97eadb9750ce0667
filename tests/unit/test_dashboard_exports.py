"""Addresses and names of what is kept; which parts of each page are, and in what row."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from dash import dcc, html
from dashboard_fixtures.exploring import ask, look
from hypothesis import given, settings
from hypothesis import strategies as st

from servelens_dashboard import questions
from servelens_dashboard.callbacks.explore import PARTS as DRAWN
from servelens_dashboard.components.saving import copying, folded, keeping, saving
from servelens_dashboard.export_parts import PARTS
from servelens_dashboard.exports import FILES, KINDS, address, file_name
from servelens_dashboard.figures.look import LIGHT
from servelens_dashboard.scene import compare_request, explain_request, trust_request
from servelens_dashboard.snippets import SNIPPETS
from servelens_dashboard.url_state import Entry, Named, View, parse, parse_at
from servelens_dashboard.views import compare, explain, explore, trust

anything = st.text(max_size=40)
HREF = (
    "/{page}?model=a&model=b:2.0&photo=ff&class=1&versus=2&method=grad_cam@l&method=occlusion"
    "&scale=shared&layer=l&channel=3&at=1,2&out=1&sort=random&story=2"
)
DECLARED = [(page, name) for page, parts in PARTS.items() for name in parts]


@settings(deadline=None)
@given(anything, anything)
def test_a_name_of_a_file_has_nothing_that_could_do_harm(model: str, part: str) -> None:
    view = View(
        models=(Named(model or "m"),), photo=part, layer=model, methods=(Entry("m", model),)
    )
    name = file_name(view, part)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,59}|", name)
    assert not name.startswith(".")


def test_a_name_of_a_file_says_what_it_is_of() -> None:
    view = parse_at(HREF.format(page="explore"))
    channel = PARTS["explore"]["channel"].narrowed(view)
    assert file_name(channel, "channel") == "a-channel-l-3-ff"
    both = PARTS["compare"]["map"].narrowed(parse_at(HREF.format(page="compare")))
    assert file_name(both, "map") == "a-b-2.0-map-grad-cam-l-occlusion-ff"


@given(anything)
def test_an_address_brings_back_its_view_and_its_part(part: str) -> None:
    view = View("explain", (Named("a b", "1.0"),), "f" * 32, methods=(Entry("occlusion", "x"),))
    for kind in KINDS:
        there = urlsplit(address(FILES, kind, view, part))
        assert there.path == f"/export/{kind}/explain"
        assert parse("explain", there.query) == view
        assert parse_qs(there.query, keep_blank_values=True)["part"] == [part]


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_with_nothing_said_has_an_address_too(kind: str) -> None:
    assert address(FILES, kind, View("compare"), "map") == f"/export/{kind}/compare?part=map"


# --------------------------------------------------------------------------------------- rows


def found(parts: Iterable[Any]) -> list[Any]:
    """Every component of these, themselves included."""
    given = [part for part in parts if part is not None]
    return [each for part in given for each in (part, *part._traverse())]


def links(parts: Iterable[Any]) -> dict[str, set[str]]:
    """The formats of each part's files, as a page has them."""
    rows: dict[str, set[str]] = {}
    for link in found(parts):
        if isinstance(link, html.A) and link.href.startswith(FILES):
            there = urlsplit(link.href)
            (name,) = parse_qs(there.query)["part"]
            rows.setdefault(name, set()).add(there.path.split("/")[2])
    return rows


def declared(page: str) -> dict[str, set[str]]:
    return {name: set(part.formats) for name, part in PARTS[page].items()}


def has_picture(parts: Iterable[Any]) -> bool:
    return any(getattr(one, "className", "") == "save-picture" for one in found(parts))


@pytest.mark.parametrize(("page", "name"), DECLARED)
def test_a_row_has_what_is_declared_and_of_the_view_what_it_is_of(page: str, name: str) -> None:
    view, part = parse_at(HREF.format(page=page)), PARTS[page][name]
    row = keeping(view, name)
    assert links([row]) == {name: set(part.formats)}
    assert links([folded(view, name)]) == links([saving(view, name)]) == links([row])
    assert has_picture([row]) == part.is_picture
    calls = [one for one in found([row]) if getattr(one, "className", "") == "copy-call"]
    models = view.models if page == "compare" else view.models[:1]
    assert len(calls) == len(models) * len(SNIPPETS)
    assert [one.children for one in calls] == [
        one.children
        for one in found([copying(view, name)])
        if getattr(one, "className", "") == "copy-call"
    ]
    for link in (one for one in found([row]) if isinstance(one, html.A)):
        there = parse(page, urlsplit(link.href).query)
        assert there == part.narrowed(view) == part.narrowed(there)
        assert there.models == models
        assert [getattr(there, field) for field in part.of] == [
            getattr(view, field) for field in part.of
        ]
        assert (there.story, there.out, there.scale) == (None, False, "own")


def test_all_that_explore_draws_can_be_kept() -> None:
    scene = look(models=(Named("tiny"),), layer="stem", channel=3, out=True)
    drawn = {
        name: draw(scene, ask, LIGHT) for parts in DRAWN.values() for name, draw in parts.items()
    }
    drawn["atlas"] = explore.atlas_body(scene, questions.atlas(scene, ask), LIGHT)
    drawn["predictions"] = explain.predictions(scene, ask({"top_k": 3}))
    rows = [links(body) for body in drawn.values()]
    assert {name: kinds for row in rows for name, kinds in row.items()} == declared("explore")
    for body in drawn.values():
        if any(isinstance(part, (dcc.Graph, html.Table)) for part in found(body)):
            assert links(body)
        assert has_picture(body) == any(isinstance(part, dcc.Graph) for part in found(body))


def test_all_that_compare_draws_can_be_kept() -> None:
    view = parse_at("/compare?model=a&model=b&photo=ff&method=grad_cam")
    result = ask(compare_request(look()))
    answers: dict[str, compare.Answer] = {"a": result.activations, "b": result.activations}
    predictions = {name: list(result.predictions) for name in answers}
    drawn = [
        compare.predictions_body(view, predictions, [], LIGHT),
        compare.depth_body(view, dict.fromkeys(answers, result.activations), LIGHT),
        compare.steps_body(view, answers, LIGHT),
        compare.savings(view, list(answers)),
    ]
    assert {n: kinds for body in drawn for n, kinds in links(body).items()} == declared("compare")
    assert all(has_picture(body) for body in drawn)


def test_a_map_its_card_and_the_predictions_can_be_kept() -> None:
    entry = Entry("grad_cam", "last")
    scene = look(models=(Named("tiny"),), methods=(Entry("saliency"), entry))
    asked = trust_request(scene, entry)
    assert asked == {**explain_request(scene, entry), "trust": True}
    result = ask(asked)
    view = scene.view.but(page="explain")
    card = trust.card(view, str(entry), result.attributions[0], LIGHT)
    listed = explain.predictions(scene.but(view), result)
    drawn = [card, listed, [keeping(view.but(methods=(entry,)), "map")]]
    assert {n: kinds for body in drawn for n, kinds in links(body).items()} == declared("explain")
    assert "method=grad_cam@last" in str(card[-1])
    assert "saliency" not in str(card[-1])


def test_a_card_of_a_coarser_map_than_was_asked_for_says_so() -> None:
    scene = look(models=(Named("tiny"),), methods=(Entry("rise"),))
    asked = trust_request(scene, Entry("rise"))
    entry = ask(asked).attributions[0]
    assert not entry.coarsened
    for shown, is_told in ((entry, False), (replace(entry, coarsened={"samples": 500}), True)):
        told = str(trust.card(scene.view.but(page="explain"), "rise", shown, LIGHT))
        assert ("judged by a map made coarser" in told) == is_told
        assert ("asked for: samples 500" in told) == is_told
