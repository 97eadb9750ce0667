"""Slow methods in parts: no part is asked twice, and together they are the same map."""

from __future__ import annotations

import json
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from engine_fixtures.photos import photo
from engine_fixtures.sessions import open_session, seeded
from tiny_net import TinyNet

from servelens.client import Result
from servelens.engine.methods import score_cam
from servelens.protocol import Problem, read_request, to_wire
from servelens_dashboard.overview import Overview
from servelens_dashboard.parts import asked, asked_whole, is_awaited, known
from servelens_dashboard.scene import Scene, explain_request
from servelens_dashboard.url_state import Entry, View
from servelens_dashboard.work import PIECES, PIECES_UNTOLD, Work

SLOW_IN_PARTS = (
    "occlusion",
    "integrated_gradients",
    "smooth_grad_sq",
    "ablation_cam",
    "rise",
    "layer_conductance",
)
# Milliseconds that a pass takes on a model that is slow, and on one that is not.
SLOWLY, QUICKLY = 300.0, 0.5
TARGET = 1
FIRST = {"index": 0, "of": PIECES}


@cache
def session() -> Any:
    return open_session(seeded(TinyNet))


class Engine:
    """Answers as a server would, keeps answers as the dashboard does, and counts what it ran. Each
    pass is said to take as long as it is told to."""

    def __init__(self, pass_ms: float = SLOWLY, lacks: tuple[str, ...] = ()) -> None:
        self.pass_ms = pass_ms
        self.lacks = lacks
        self.kept: dict[str, Result] = {}
        self.ran: list[dict[str, Any]] = []
        self.works: dict[str, Work] = {}

    def ask(self, version: Any, name: str, request: dict[str, Any]) -> Result:
        key = json.dumps(request, sort_keys=True)
        if key not in self.kept:
            self.ran.append(request)
            (answer,) = session().run([read_request(request, photo())])
            assert not isinstance(answer, Problem), answer
            document = to_wire(answer)
            cost = document["cost"]
            cost["ms"]["compute"] = self.pass_ms * (cost["forwards"] + 2 * cost["backwards"])
            for name in self.lacks:
                cost.pop(name, None)
            self.kept[key] = Result.of(document, photo(), request)
        return self.kept[key]

    def knows(self, version: Any, name: str, request: dict[str, Any]) -> bool:
        return json.dumps(request, sort_keys=True) in self.kept

    def work(self, version: Any, name: str, request: dict[str, Any], first: Result) -> Work:
        key = json.dumps(request, sort_keys=True)
        work = Work(request, first, lambda part: self.ask(version, name, part))
        return self.works.setdefault(key, work)

    def keep(self, name: str, request: dict[str, Any], result: Result) -> None:
        self.kept[json.dumps(request, sort_keys=True)] = result

    @property
    def forwards(self) -> int:
        return sum(result.cost.forwards for result in self.kept.values())


def scene(**costs: float) -> Scene:
    """Costs are those of a larger model."""
    capability = session().describe()
    for method in capability["methods"]:
        method["relative_cost"] = costs.get(method["name"], 1000)
    version: Any = SimpleNamespace(name="tiny", version="1.0")
    return Scene(View(photo="p", target=TARGET), Overview({}), version, capability)


@pytest.mark.parametrize("method", SLOW_IN_PARTS)
def test_parts_make_the_same_map_as_the_whole(method: str) -> None:
    engine: Any = Engine()
    whole = Engine().ask(None, "p", explain_request(scene(), Entry(method)))
    result = asked_whole(engine, scene(), Entry(method))
    mine, theirs = result.attributions[0], whole.attributions[0]
    near = 2e-6 * np.abs(theirs.map).max()
    assert near > 0
    if method == "occlusion":
        # Its map is of differences of scores, which chunks of other sizes round otherwise.
        (score,) = (found.logit for found in whole.predictions if found.index == TARGET)
        near = 4 * np.spacing(np.float32(abs(score)))
    np.testing.assert_allclose(mine.to_numpy(), theirs.to_numpy(), atol=near)
    np.testing.assert_array_equal(result.to_numpy()["attributions/0/map"], mine.to_numpy())
    assert result.origin.asked == whole.origin.asked
    assert mine.weight is None and "part" not in result.origin.asked
    assert (mine.convergence_delta is None) == (theirs.convergence_delta is None)
    if theirs.convergence_delta is not None:
        rounding = 1e-6 * float(np.abs(mine.to_numpy()).sum())
        assert mine.convergence_delta == pytest.approx(theirs.convergence_delta, abs=rounding)
    assert result.cost.forwards > whole.cost.forwards


def test_what_the_first_part_shows_to_be_quick_is_asked_for_whole() -> None:
    """Integrated gradients of 7 steps: the image, the baseline and the steps, once; beside a first
    part of none."""
    engine: Any = Engine(QUICKLY)
    entry = Entry("integrated_gradients", params=(("steps", 7),))
    found = asked(engine, scene(), entry, 0.0)
    assert found.is_whole and found.result.cost.forwards == 9
    assert [request.get("part") for request in engine.ran] == [FIRST, None]
    assert engine.forwards == 11
    asked(engine, scene(), entry, 0.0)
    assert len(engine.ran) == 2


def test_few_steps_that_are_slow_come_in_no_more_parts_than_there_are() -> None:
    engine: Any = Engine(1000.0)
    entry = Entry("integrated_gradients", params=(("steps", 7),))
    found = asked(engine, scene(), entry)
    assert found.is_whole and found.of == 4
    # The photo and the baseline with each part, and each step once.
    parts = [request for request in engine.ran if "part" in request]
    assert found.result.cost.forwards == 2 * (1 + 4) + 7 and len(parts) == 1 + 4


def test_an_archive_that_does_not_say_what_the_whole_takes_is_taken_at_its_parts_word() -> None:
    engine: Any = Engine(QUICKLY, lacks=("whole",))
    asked(engine, scene(), Entry("occlusion"))
    assert [request.get("part") for request in engine.ran] == [FIRST, None]
    engine = Engine(lacks=("whole",))
    assert asked(engine, scene(), Entry("occlusion")).of == PIECES_UNTOLD
    assert all("part" in request for request in engine.ran)


def test_what_no_part_can_be_given_is_asked_for_as_a_whole(monkeypatch: Any) -> None:
    monkeypatch.setattr(score_cam, "FARTHEST", 0.0)
    engine: Any = Engine()
    found = asked(engine, scene(), Entry("score_cam"), 0.0)
    assert found.is_whole and found.result.attributions[0].map is not None
    # Of twelve channels none falls to the first of so many parts.
    of_parts = [request.get("part") for request in engine.ran]
    assert of_parts == [FIRST, {"index": 0, "of": 4}, None]
    (whole,) = [key for key in engine.kept if '"part"' not in key]
    del engine.kept[whole]
    stopped = asked(engine, scene(), Entry("score_cam"), None)
    assert not stopped.is_whole and not np.any(stopped.result.attributions[0].to_numpy())
    assert known(engine, scene(), Entry("score_cam")) is None
    assert len(engine.ran) == len(of_parts)


def test_what_is_known_is_known_without_asking() -> None:
    for entry in (Entry("rise"), Entry("var_grad")):
        engine: Any = Engine()
        assert known(engine, scene(), entry) is None
        assert not engine.ran
        asked(engine, scene(), entry, 0.0)
        assert (known(engine, scene(), entry) is None) == (entry.method == "rise")
        whole = asked_whole(engine, scene(), entry)
        ran = len(engine.ran)
        found = known(engine, scene(), entry)
        assert found is not None and len(engine.ran) == ran
        np.testing.assert_array_equal(
            found.attributions[0].to_numpy(), whole.attributions[0].to_numpy()
        )


def test_each_time_one_part_more_is_asked_and_none_twice() -> None:
    engine: Any = Engine()
    shares = [asked(engine, scene(), Entry("rise"), None)]
    while not shares[-1].is_whole:
        assert len(engine.ran) == len(shares)
        shares.append(asked(engine, scene(), Entry("rise"), 0.0))
    done = [share.done for share in shares]
    assert done == sorted(set(done)) and done[0] == 0 and len(done) > 3
    assert asked(engine, scene(), Entry("rise"), None).is_whole
    assert len(engine.ran) == len(shares)


def test_what_one_person_has_had_made_another_has_too() -> None:
    engine: Any = Engine()
    mine = asked(engine, scene(), Entry("rise"), 0.0)
    theirs = asked(engine, scene(), Entry("rise"), 0.0)
    assert theirs.done > mine.done
    assert len(engine.ran) == 1 + 2


def test_who_stops_sees_what_there_is_and_nothing_more_is_asked() -> None:
    engine: Any = Engine()
    for _ in range(2):
        asked(engine, scene(), Entry("rise"), 0.0)
    before = len(engine.ran)
    found = asked(engine, scene(), Entry("rise"), None)
    assert len(engine.ran) == before and 0 < found.done < found.of
    assert np.any(found.result.attributions[0].to_numpy())


def test_what_is_fast_or_has_no_parts_is_asked_for_as_a_whole() -> None:
    engine: Any = Engine()
    assert asked(engine, scene(occlusion=20), Entry("occlusion")).is_whole
    assert asked(engine, scene(), Entry("var_grad")).is_whole
    assert not [request for request in engine.ran if "part" in request]


def test_a_person_is_told_to_wait_only_for_what_may_take_long_and_is_not_there() -> None:
    engine: Any = Engine()
    slow = Entry("var_grad")
    assert is_awaited(engine, scene(), slow)
    assert is_awaited(engine, scene(var_grad=20), slow)
    assert not is_awaited(engine, scene(var_grad=3), slow)
    assert not is_awaited(engine, scene(), Entry("occlusion"))
    asked_whole(engine, scene(), slow)
    assert not is_awaited(engine, scene(), slow)
