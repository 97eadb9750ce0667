"""What the dashboard makes of a server's answers: whose fault it is when a model says nothing, and
whose answer one is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from servelens.client import BadAnswer, LensProblem, Refused, Result, Server, Version, Worker
from servelens.protocol import Cost
from servelens_dashboard.app import open_lens
from servelens_dashboard.lens import Changed, Lens, NoLens
from servelens_dashboard.overview import Overview
from servelens_dashboard.settings import read_settings
from servelens_dashboard.shelf import Shelf
from servelens_dashboard.troubles import tell

WORKER = Worker("9000", "READY", 1, False, 0, {"startTime": "2026-01-01T00:00:00.000Z"})
MODEL = Version("m", "1.0", "m.mar", 1, 0, (WORKER,))
NOWHERE = "http://127.0.0.1:9"
NO_KEY = "Token Authorization failed. Token either incorrect, expired, or not provided correctly"


class Answering(Server):
    def __init__(self, error: Exception) -> None:
        super().__init__(NOWHERE)
        self.error = error

    def capability(self, model: str, *, version: str | None = None) -> dict[str, Any]:
        raise self.error


def describing(error: Exception, folder: Path) -> Any:
    lens = Lens(Answering(error), Shelf(folder, 0, 0, None), 0)
    return lens.capability(MODEL)


@pytest.mark.parametrize(
    "error", [Refused(400, NO_KEY), LensProblem(413, {"message": "that is too much"})]
)
def test_what_the_archive_is_not_to_blame_for_is_told_as_it_is(
    tmp_path: Path, error: Refused
) -> None:
    with pytest.raises(type(error)) as raised:
        describing(error, tmp_path)
    assert "ServeLens" not in tell(raised.value).what


@pytest.mark.parametrize("error", [BadAnswer("no document"), Refused(503, "Prediction failed")])
def test_who_answers_otherwise_has_no_lens(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(NoLens, match="was not built by ServeLens"):
        describing(error, tmp_path)


class Weights(Lens):
    """Over a model whose workers have these weights, and take turns; the last one answers on."""

    def __init__(self, *weights: str) -> None:
        super().__init__(cast(Any, None), cast(Any, None), 10**6)
        self.weights = list(weights)
        self.asked = 0

    def _describe(self, version: Version) -> dict[str, Any]:
        return {"methods": [], "model": {"digest": self._next()}}

    def _ask(self, version: Version, photo: str, request: Any) -> Result:
        self.asked += 1
        model = SimpleNamespace(digest=self._next())
        cost = Cost(1, 0, {"compute": 1000.0})
        entry = SimpleNamespace(map=1.0, weight=1.0, convergence_delta=None)
        told = {"to_numpy": dict, "model": model, "cost": cost, "attributions": [entry]}
        return cast(Result, SimpleNamespace(**told, input=None))

    def _next(self) -> str:
        return self.weights.pop(0) if len(self.weights) > 1 else self.weights[0]


def test_an_answer_is_asked_for_once() -> None:
    lens = Weights("old")
    assert lens.ask(MODEL, "p", {}) is lens.ask(MODEL, "p", {})
    assert lens.asked == 1


def test_an_answer_of_other_weights_is_kept_for_those_alone() -> None:
    """They were registered after the model was described, and the worker is called as before."""
    lens = Weights("old")
    old = lens.ask(MODEL, "p", {})
    lens.weights = ["new"]
    assert lens.ask(MODEL, "p", {"top_k": 2}).model.digest == "new"
    assert lens.ask(MODEL, "p", {}).model.digest == "new"
    lens.weights = ["old"]
    lens.ask(MODEL, "p", {"top_k": 3})
    assert lens.ask(MODEL, "p", {}) is old


def test_workers_of_different_weights_are_told_and_nothing_of_them_is_kept() -> None:
    lens = Weights("one", "other", "one", "other")
    with pytest.raises(Changed, match="m 1.0 answers with other weights than it says"):
        lens.ask(MODEL, "p", {})
    assert lens.asked == 2
    assert not lens.knows(MODEL, "p", {})


def test_parts_of_different_weights_make_no_map() -> None:
    """The model was registered anew between two of them; who asks again is answered by it."""
    lens = Weights("old")
    first = lens.ask(MODEL, "p", {"part": 0})
    work = lens.work(MODEL, "p", {}, first)
    assert lens.work(MODEL, "p", {}, first) is work
    work.go_on()
    lens.weights = ["new"]
    with pytest.raises(Changed, match="other weights"):
        work.go_on()
    anew = lens.ask(MODEL, "p", {"part": 0})
    assert anew.model.digest == "new"
    assert lens.work(MODEL, "p", {}, anew) is not work


def test_what_parts_make_is_kept_as_the_answer_and_they_are_not() -> None:
    lens = Weights("old")
    work = lens.work(MODEL, "p", {}, lens.ask(MODEL, "p", {"part": 0}))
    work.go_on()
    work.go_on()
    assert lens.asked == 3
    assert not lens.knows(MODEL, "p", {"part": {"index": 0, "of": 64}})
    made = lens.ask(MODEL, "p", {"made": "of parts"})
    lens.keep("p", {}, made)
    assert lens.ask(MODEL, "p", {}) is made


def test_a_worker_that_began_at_another_time_is_another() -> None:
    """A container that starts anew gives the same ids, and the same numbers to its processes."""
    lens = Weights("old")
    old = lens.ask(MODEL, "p", {})
    lens.weights = ["new"]
    began = replace(WORKER, more={"startTime": "2026-01-02T00:00:00.000Z"})
    anew = replace(MODEL, workers=(began,))
    assert lens.ask(anew, "p", {}) is not old
    assert Overview({"m": (MODEL,)}).pulse != Overview({"m": (anew,)}).pulse


def test_a_pulse_is_of_the_workers_of_its_models_and_of_which_models_there_are() -> None:
    other = replace(MODEL, name="other")
    idle, newer = replace(other, workers=()), replace(other, version="2.0")
    before = Overview({"m": (MODEL,), "other": (other,)})
    scaled = Overview({"m": (MODEL,), "other": (idle,)})
    assert before.pulse_of(["m"]) == scaled.pulse_of(["m"])
    assert before.pulse_of(["m", "other"]) != scaled.pulse_of(["m", "other"])
    assert before.pulse != scaled.pulse
    for models in ({}, {"other": (newer, other)}, {"other": (other, newer)}):
        assert before.pulse_of(["m"]) != Overview({"m": (MODEL,), **models}).pulse_of(["m"])
    twice = [Overview({"m": pair}) for pair in ((other, newer), (newer, other))]
    assert twice[0].pulse != twice[1].pulse, "another is the default one"


@pytest.mark.parametrize("named_by", ["settings", "environment"])
def test_keys_of_a_file_are_renewed_when_they_have_run_out(
    named_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key_file.json"
    entry = {"key": "old", "expiration time": "2026-01-01T00:00:00Z"}
    file.write_text(json.dumps({"inference": entry, "management": entry}))
    environ = {"SERVELENS_KEY_FILE": str(file)} if named_by == "environment" else {}
    named = ["--keys", str(file)] if named_by == "settings" else []
    nowhere = ["--inference", NOWHERE, "--management", NOWHERE]
    kept = ["--photos", str(tmp_path / "photos"), "--files", str(tmp_path / "files")]
    settings = read_settings([*nowhere, *kept, *named], environ)
    renewed: list[str] = []
    monkeypatch.setattr(Server, "renew_key", lambda _, door: renewed.append(door))
    open_lens(settings).overview()
    assert renewed == ["inference", "management"]
