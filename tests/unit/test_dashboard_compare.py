"""Which models Compare shows, what it asks of each, and what it says of those that answered."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from dashboard_fixtures.exploring import ask, every_map, look

from servelens.client import Activation, Prediction, Version, Worker
from servelens.protocol import Problem
from servelens_dashboard.figures import steps
from servelens_dashboard.figures.look import LIGHT
from servelens_dashboard.overview import NoModel, Overview
from servelens_dashboard.scene import (
    compare_request,
    each_scene,
    scene_of,
    set_scene,
    with_others,
)
from servelens_dashboard.troubles import Trouble
from servelens_dashboard.url_state import MOST_MODELS, Named, View, parse_at
from servelens_dashboard.views import compare
from servelens_dashboard.views.shell import page_links

CAPABILITY: dict[str, Any] = {
    "labels": ["disc", "ring"],
    "default_layers": ["one", "two", "one"],
    "default_layer": "two",
    "default_plan": ["grad_cam"],
    "layers": [],
    "methods": [
        {
            "name": "grad_cam",
            "title": "Grad-CAM",
            "family": "class activation map",
            "supported": True,
            "scope": "input",
            "params": [],
        }
    ],
}


VIEW = parse_at("/compare?model=a&model=b&photo=ff")
# Awaited, in trouble, with a problem, and with nothing to show.
DIFFERENT: dict[str, compare.Answer] = {
    "a": None,
    "b": Trouble("It is gone.", ""),
    "c": (Activation("one", problem=Problem("no_map", "only numbers")),),
    "d": (Activation("one"),),
}


def plainly(part: Any) -> Any:
    return part.to_plotly_json()


def version(name: str, status: str = "READY") -> Version:
    worker = Worker("9000", status, 1, False, 0)
    return Version(name, "1.0", f"{name}.mar", 1, 0, (worker,))


def lens_with(*names: str, asleep: tuple[str, ...] = ()) -> Any:
    versions = {
        name: (version(name, "UNLOADING" if name in asleep else "READY"),) for name in names
    }

    def capability(version: Version) -> dict[str, Any]:
        if not version.is_ready:
            raise NoModel(f"{version.name!r} has no worker")
        return CAPABILITY

    return SimpleNamespace(
        overview=lambda: Overview(versions),
        capability=capability,
        shelf=SimpleNamespace(samples={"p" * 32: SimpleNamespace(title="a photo")}),
    )


def names(view: View) -> list[str]:
    return [str(named) for named in view.models]


def test_where_nobody_has_chosen_all_that_can_answer_are_compared() -> None:
    lens = lens_with("a", "b", "c", asleep=("b",))
    assert names(set_scene(View("compare"), lens).view) == ["a", "c"]
    assert names(set_scene(View("explain"), lens).view) == ["a"]
    many = lens_with(*map(str, range(9)))
    assert len(set_scene(View("compare"), many).view.models) == MOST_MODELS


def test_who_has_chosen_one_keeps_it_and_is_told_how_many_are_compared() -> None:
    lens = lens_with("a", "b")
    scene = set_scene(parse_at("/compare?model=b"), lens)
    assert names(scene.view) == ["b"]
    _, stage, _ = compare.page(scene, lens, "pulse")
    told = json.dumps(stage.to_plotly_json(), default=plainly)
    assert "A comparison is of 2 to 6 models: choose another to stand beside b." in told
    both = set_scene(parse_at("/compare?model=b&model=a"), lens)
    _, stage, _ = compare.page(both, lens, "pulse")
    told = json.dumps(stage.to_plotly_json(), default=plainly)
    assert "A comparison is of" not in told


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("/explain?model=b", ["b", "a"]),
        ("/compare?model=b", ["b"]),
        ("/explore?model=b&model=a&layer=two", ["b", "a"]),
    ],
)
def test_the_way_to_compare_leads_beside_others_but_for_who_is_there(
    here: str, there: list[str]
) -> None:
    links = page_links(parse_at(here), lens_with("a", "b").overview())
    (led,) = [link.href for link in links if getattr(link, "children", "") == "Compare"]
    assert names(parse_at(led)) == there
    assert links[-1].href == here


def test_a_model_is_beside_no_other_version_of_itself_unasked() -> None:
    overview = lens_with("a", "b").overview()
    assert with_others(Named("a", "2.0"), overview) == (Named("a", "2.0"), Named("b"))
    assert with_others(Named("a"), Overview({})) == (Named("a"),)


def test_each_model_is_asked_for_layers_of_its_own_and_once() -> None:
    view = set_scene(View("compare"), lens_with("a", "b")).view.at_layer("seven")
    scene = scene_of(view, "b", lens_with("a", "b"))
    assert (names(scene.view), scene.view.layer) == (["b"], "two")
    asked = compare_request(scene)
    assert asked == {"activations": {"layers": ["one", "two"], "channels": 1}, "top_k": 2}


@pytest.mark.parametrize(
    ("unable", "left"), [("a", ["b", "c"]), ("c", ["a", "b"])], ids=("the first", "the last")
)
@pytest.mark.parametrize("why", ["unknown", "asleep"])
def test_of_several_models_the_first_that_can_speaks_for_the_page(
    unable: str, left: list[str], why: str
) -> None:
    lens = lens_with(*left) if why == "unknown" else lens_with("a", "b", "c", asleep=(unable,))
    scene = set_scene(parse_at("/compare?model=a&model=b&model=c"), lens)
    assert scene.version.name == left[0]
    assert names(scene.view) == ["a", "b", "c"]
    each = each_scene(scene.view, lens)
    assert [name for name, found in each.items() if isinstance(found, NoModel)] == [unable]


def test_where_none_of_several_models_can_speak_the_first_ones_reason_is_told() -> None:
    lens = lens_with("c", asleep=("c",))
    with pytest.raises(NoModel, match="'a'"):
        set_scene(parse_at("/compare?model=a&model=c"), lens)


def test_where_one_model_is_explained_no_other_speaks_for_it() -> None:
    for page in ("/", "/explore"):
        with pytest.raises(NoModel, match="'a'"):
            set_scene(parse_at(f"{page}?model=a&model=b"), lens_with("b"))


def test_a_model_that_is_compared_is_run_once_for_its_words_numbers_and_maps() -> None:
    scene = look()
    result = ask(compare_request(scene))
    assert result.cost.forwards == 1
    assert len(result.predictions) > 1
    layers = scene.capability["default_layers"]
    assert [shown.layer for shown in steps.with_maps(result.activations)] == layers
    for shown in result.activations:
        every = every_map(shown.layer)
        (channel,) = shown.channels
        assert channel.index == every.mean(axis=(1, 2)).argmax()
        np.testing.assert_array_equal(shown.to_numpy()[0], every[channel.index])
        assert shown.statistics is not None
        assert shown.statistics.mean == pytest.approx(every.mean(), rel=1e-3)


def test_what_has_come_is_drawn_and_what_has_not_is_named() -> None:
    said = {"a": [Prediction(0, "disc", 0.9, 1.0)]}
    nothing = compare.predictions_body(VIEW, {}, ["a", "b"], LIGHT)
    assert [part.children for part in nothing] == ["a and b have not answered yet."]
    sentence, waiting, *_ = compare.predictions_body(VIEW, said, ["b"], LIGHT)
    assert (sentence.children, waiting.children) == (
        "a says disc (0.9).",
        "b has not answered yet.",
    )
    assert compare.predictions_body(VIEW, said, [], LIGHT)[1] is None
    assert compare.depth_body(VIEW, {}, LIGHT) == []
    rows = json.dumps(compare.steps_body(VIEW, DIFFERENT, LIGHT), default=plainly)
    for words in ("has not answered yet", "It is gone.", "only numbers", "has a map"):
        assert words in rows
    assert compare.places({}) == ""


def test_what_is_saved_is_what_is_shown() -> None:
    assert compare.savings(VIEW, []) == []
    row = json.dumps(compare.savings(VIEW, ["b"]), default=plainly)
    assert "/export/json/compare?model=b&photo=ff&part=map" in row
    said = {"b": [Prediction(0, "disc", 0.9, 1.0)]}
    row = json.dumps(compare.predictions_body(VIEW, said, ["a"], LIGHT)[-1], default=plainly)
    assert "/export/json/compare?model=b&photo=ff&part=predictions" in row
