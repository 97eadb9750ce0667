"""Explain from one photo or class to another: it stays, and nothing on it is the other's."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from servelens.client import Version
from servelens_dashboard.lens import Lens
from servelens_dashboard.overview import Overview
from servelens_dashboard.scene import Scene
from servelens_dashboard.shelf import Sample
from servelens_dashboard.url_state import Entry, Named, View
from servelens_dashboard.views import explain

PHOTO, OTHER = "a" * 32, "b" * 32
METHODS = (Entry("grad_cam"), Entry("occlusion"))
CAPABILITY = {
    "methods": [
        {"name": "grad_cam", "relative_cost": 3},
        {"name": "occlusion", "relative_cost": 200},
    ]
}
VIEW = View(models=(Named("shapes"),), photo=PHOTO, methods=METHODS, layer="stage3")


def news(view: View) -> dict[str, Any]:
    """By the names of what is other, as JSON."""
    version = Version("shapes", "1.0", "shapes.mar", 1, 0, ())
    scene = Scene(view, Overview({}), version, CAPABILITY)
    samples = {name: Sample(name, Path(name), None, None) for name in (PHOTO, OTHER)}
    lens = cast(Lens, SimpleNamespace(shelf=SimpleNamespace(samples=samples)))
    return {json.dumps(name): told for name, told in explain.news(scene, lens, "now")}


@pytest.mark.parametrize("other", [{"photo": OTHER}, {"target": 2}, {"target": 2, "versus": 1}, {}])
def test_it_stays_with_another_photo_or_class(other: dict[str, Any]) -> None:
    assert explain.stays(VIEW, VIEW.but(**other))


@pytest.mark.parametrize(
    "other",
    [
        {"page": "explore"},
        {"models": (Named("shapes", "2.0"),)},
        {"methods": METHODS[:1]},
        {"scale": "shared"},
        {"story": 1},
        {"photo": None},
    ],
)
def test_whatever_else_changes_it_is_drawn_anew(other: dict[str, Any]) -> None:
    assert not explain.stays(VIEW, VIEW.but(**other))
    assert not explain.stays(VIEW.but(**other), VIEW)


def test_all_that_leads_on_or_asks_is_of_the_other_photo() -> None:
    told = news(VIEW.with_photo(OTHER))
    asked = {"href": VIEW.with_photo(OTHER).href, "pulse": "now"}
    for method, cheap in (("grad_cam", True), ("occlusion", False)):
        assert told[json.dumps({"panel": method, "part": "ask"})] == {"data": asked}
        wanted = told[json.dumps({"panel": method, "part": "card-wanted"})]
        assert wanted == {"data": {**asked, "cheap": cheap}}
        assert OTHER in told[json.dumps({"remove": method})]["href"]
    assert told['"predictions-ask"'] == {"data": asked}
    assert all(OTHER in link.href for link in told['"scales"']["children"])
    assert [link.className for link in told['"samples"']["children"]] == ["", "chosen"]


def test_no_trust_card_of_the_photo_before_stays() -> None:
    told = news(VIEW.with_photo(OTHER))
    for method in ("grad_cam", "occlusion"):
        assert told[json.dumps({"panel": method, "part": "card"})] == {"children": []}


def test_one_method_alone_has_no_links_to_be_taken_away_or_scaled() -> None:
    told = news(VIEW.but(methods=METHODS[:1]))
    assert not [name for name in told if "remove" in name or "scales" in name]
