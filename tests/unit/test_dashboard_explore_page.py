"""Explore as a page: its depth player, what stays of it from step to step, and its ways on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from dashboard_fixtures.exploring import (
    ask,
    every_map,
    look,
    words,
)

from servelens.client import Result, Server
from servelens_dashboard import questions
from servelens_dashboard.figures.look import LIGHT
from servelens_dashboard.lens import Lens
from servelens_dashboard.shelf import Shelf
from servelens_dashboard.url_state import parse
from servelens_dashboard.views import channel, explore, journey


@pytest.fixture
def lens(root: Path, tmp_path: Path) -> Lens:
    samples = root / "archives" / "demo" / "samples"
    return Lens(Server("http://127.0.0.1:9"), Shelf(tmp_path, 0, 0, samples), 0)


def test_a_depth_player_has_a_frame_a_layer_of_one_answer() -> None:
    scene = look(layer="last")
    asked: list[Mapping[str, Any]] = []

    def count(request: Mapping[str, Any]) -> Result:
        asked.append(request)
        return ask(request)

    result = questions.journey(scene, count)
    drawn = journey.journey_body(scene, result, LIGHT)
    (frames,) = [part.data for part in drawn if getattr(part, "id", "") == "journey-frames"]
    assert len(asked) == 1
    assert [frame["words"].split(",")[0] for frame in frames] == scene.capability["default_layers"]
    for frame, layer in zip(frames, scene.capability["default_layers"], strict=True):
        means = every_map(layer).mean(axis=(1, 2))
        assert f"channel {means.argmax()}:" in frame["words"]
        assert [image.name for image in frame["figure"].layout.images] == ["photo", "heat"]


@pytest.mark.parametrize(
    ("after", "drawn"),
    [
        ({"channel": 1}, {"unit-ask", "channel-ask", "predictions-ask"}),
        ({"channel": 0, "out": True}, {"predictions-ask"}),
        ({"channel": 0, "place": (1, 1)}, {"unit-ask", "predictions-ask"}),
        ({}, {"unit-ask", "channel-ask", "predictions-ask"}),
        ({"channel": 0}, set()),
    ],
)
def test_from_channel_to_channel_only_what_is_of_it_is_drawn_anew(
    after: dict[str, Any], drawn: set[str]
) -> None:
    before, view = look(layer="last", channel=0).view, look(layer="last", **after).view
    assert explore.stays(before, view)
    known, told = explore.whole_ask(before, "p"), explore.whole_ask(view, "p")
    news = {name for name, href in told["narrowed"].items() if href != known["narrowed"][name]}
    assert news == drawn
    assert told["href"] == view.href
    for href in told["narrowed"].values():
        address = urlsplit(href)
        assert parse(address.path, address.query).channel == after.get("channel")


@pytest.mark.parametrize(
    "after", [{"layer": "stem"}, {"sort_by": "random"}, {"target": 1}, {"scale": "shared"}]
)
def test_whatever_else_changes_the_page_is_another(after: dict[str, Any]) -> None:
    before = look(layer="last", channel=0).view
    assert not explore.stays(before, look(**{"layer": "last", "channel": 0, **after}).view)


def test_the_switch_goes_to_the_other_state_and_says_which() -> None:
    view = look(layer="last", channel=3).view
    there = channel.switched(view)
    assert there["href"] == view.but(out=True).href
    back = channel.switched(view.but(out=True))
    assert back["href"] == view.href
    assert (there["children"], back["children"]) == (
        "Knock this channel out",
        "Bring this channel back",
    )


@pytest.mark.parametrize("layer", ["stem", "last"])
def test_an_atlas_takes_the_room_that_is_kept_for_it(lens: Lens, layer: str) -> None:
    scene = look(layer=layer)
    _, stage, _ = explore.page(scene, lens, "p")
    (kept,) = [part for part in stage._traverse() if getattr(part, "className", "") == "room"]
    width, height = explore.atlas_of(scene, questions.atlas(scene, ask)).grid.size
    assert kept.style["aspectRatio"] == f"{width} / {height}"


def test_channels_are_stepped_through_in_the_atlass_order() -> None:
    scene = look(layer="last", channel=7, place=(1, 2), out=True)
    _, nav = channel.head_body(scene.view, [4, 7, 2])
    ways = {link.className: link.href for link in nav.children}
    assert ways["stay before"] == scene.view.at_channel(4).href
    assert ways["stay after"] == scene.view.at_channel(2).href
    assert "out=1" in ways["stay after"]
    assert "at=" not in ways["stay after"]
    _, lonely = channel.head_body(scene.view.at_channel(9), [4, 7])
    assert [link.children for link in lonely.children] == ["next ›", "close"]
    assert "channel" not in lonely.children[-1].href
    assert "out" not in lonely.children[-1].href


def test_what_an_order_costs_is_said_before_it_is_asked_for_and_while_it_is() -> None:
    scene = look(layer="last")
    labels = explore.sorts_of(scene)
    assert labels["ablation"] == "most missed by the class first: 12 passes"
    assert all("passes" not in label for sort, label in labels.items() if sort != "ablation")
    waiting = explore.ranking(scene, is_stopped=False)
    assert waiting is not None and waiting.className == "room"
    assert "asked 12 times, each time without one channel" in words([waiting])


@pytest.mark.parametrize("sort", questions.SORTS)
def test_only_an_order_that_takes_passes_is_waited_for_and_the_statistics_wait_for_none(
    sort: str,
) -> None:
    scene = look(layer="last", sort_by=sort)
    asked: list[Mapping[str, Any]] = []

    def note(request: Mapping[str, Any]) -> Result:
        asked.append(request)
        return ask(request)

    found = questions.statistics(scene, note)
    assert found.activations[0].statistics is not None
    assert len(asked) == 1 and "rank_channels" not in asked[0]
    for is_there in (True, False):
        lens: Any = SimpleNamespace(knows=lambda *_, there=is_there: there)
        is_awaited = questions.is_ranking_awaited(scene, lens)
        assert is_awaited == (sort == "ablation" and not is_there)
