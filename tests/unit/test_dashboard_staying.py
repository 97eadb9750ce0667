"""A photo is brought to a page that stays: what it is told, and what is under way by then."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from servelens.client import NotConnected, Refused, Result, Version, Worker
from servelens_dashboard.desk import Desk
from servelens_dashboard.lens import Lens
from servelens_dashboard.overview import Overview
from servelens_dashboard.parts import asked, predicted
from servelens_dashboard.scene import explain_request, predict_request, set_scene
from servelens_dashboard.settings import Settings
from servelens_dashboard.shelf import Sample
from servelens_dashboard.staying import brought, news_of
from servelens_dashboard.url_state import Entry, View, parse_at

PHOTO, OTHER = "a" * 32, "b" * 32
READY = Worker("9000", "READY", 1, False, 0)
SHAPES = Version("shapes", "1.0", "shapes.mar", 1, 1, (READY,))
CAPABILITY: dict[str, Any] = {
    "model": {"digest": "d"},
    "labels": ["disc", "ring"],
    "methods": [
        {"name": "grad_cam", "relative_cost": 3},
        {"name": "occlusion", "relative_cost": 200, "comes_in_parts": True},
    ],
    "default_plan": ["grad_cam"],
    "default_layer": "stage3",
}
STRANGER = "/explain?model=elsewhere"


class OneModel(Lens):
    """Counts what it asks its server, which has one model or does not answer."""

    def __init__(self, answers: bool = True) -> None:
        samples = {name: Sample(name, Path(name), None, None) for name in (PHOTO, OTHER)}
        super().__init__(cast(Any, None), cast(Any, SimpleNamespace(samples=samples)), 10**6)
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []

    def overview(self) -> Overview:
        return Overview({"shapes": (SHAPES,)} if self.answers else {}, self._trouble())

    def capability(self, version: Version) -> dict[str, Any]:
        return CAPABILITY

    def _trouble(self) -> NotConnected | None:
        return None if self.answers else NotConnected("TorchServe did not answer.")

    def _ask(self, version: Version, photo: str, request: Any) -> Result:
        self.asked.append((photo, request))
        model = SimpleNamespace(digest=CAPABILITY["model"]["digest"])
        return cast(Result, SimpleNamespace(to_numpy=dict, model=model))


def tell(lens: Lens, href: str, photo: str = OTHER) -> dict[str, Any]:
    """What a page at this address is told; all that was begun has ended by then."""
    with ThreadPoolExecutor(2) as threads:
        return brought(Desk(lens, cast(Settings, None), threads), parse_at(href), photo)


def test_a_page_that_stays_is_told_what_it_must_show_and_what_is_other() -> None:
    lens = OneModel()
    shown = set_scene(View(photo=PHOTO), lens)
    told = tell(lens, f"/?photo={PHOTO}&class=1")
    pulse = shown.pulse
    assert told["shown"] == {"href": shown.view.but(target=1).href, "pulse": pulse}
    asks = {str(name): news.get("data") for name, news in told["news"]}
    wanted = {"href": shown.view.with_photo(OTHER).href, "pulse": pulse}
    assert asks["predictions-ask"] == wanted
    assert asks[str({"panel": "grad_cam", "part": "ask"})] == wanted


@pytest.mark.parametrize("href", ["/explore", "/compare", "/models", STRANGER])
def test_any_other_page_is_drawn_by_its_address_alone(href: str) -> None:
    lens = OneModel()
    assert tell(lens, href) == {}
    assert lens.asked == []


def test_a_photo_is_brought_whether_or_not_the_server_answers() -> None:
    assert tell(OneModel(answers=False), "/") == {}


def test_what_the_page_then_asks_is_under_way_and_not_asked_twice() -> None:
    lens = OneModel()
    tell(lens, f"/?photo={PHOTO}")
    scene = set_scene(View(photo=OTHER), lens)
    wanted = explain_request(scene, Entry("grad_cam"))
    assert asked(lens, scene, Entry("grad_cam")).result is predicted(lens, scene)
    assert lens.asked == [(OTHER, wanted)]


def test_where_a_map_is_refused_there_are_predictions_all_the_same() -> None:
    class Unwilling(OneModel):
        def _ask(self, version: Version, photo: str, request: Any) -> Result:
            answer = super()._ask(version, photo, request)
            if "explain" in request:
                raise Refused(503, "no maps today")
            return answer

    lens = Unwilling()
    scene = set_scene(View(photo=OTHER), lens)
    assert predicted(lens, scene)
    assert lens.asked[-1] == (OTHER, predict_request(scene))


def test_on_a_page_without_maps_none_is_asked_for() -> None:
    lens = OneModel()
    scene = set_scene(View(photo=OTHER).but(page="explore"), lens)
    assert predicted(lens, scene)
    assert lens.asked == [(OTHER, predict_request(scene))]


def test_a_slow_method_is_left_to_its_panel_where_it_can_be_stopped() -> None:
    lens = OneModel()
    assert tell(lens, f"/?photo={PHOTO}&method=occlusion")["news"]
    assert lens.asked == [(OTHER, {"top_k": 2})]


def test_a_page_that_was_told_has_nothing_more_to_hear() -> None:
    lens = OneModel()
    scene = set_scene(View(photo=OTHER), lens)
    assert news_of(scene.view, scene, lens, "now") == ()
    assert news_of(scene.view.with_photo(PHOTO), scene, lens, "now")
    assert news_of(scene.view.but(page="explore"), scene, lens, "now") is None


def test_a_page_that_does_not_stay_is_not_drawn_again_for_what_it_shows_already() -> None:
    lens = OneModel()
    scene = set_scene(View(photo=PHOTO).but(page="compare"), lens)
    assert news_of(scene.view, scene, lens, "now") == ()
    assert news_of(scene.view.with_photo(OTHER), scene, lens, "now") is None
