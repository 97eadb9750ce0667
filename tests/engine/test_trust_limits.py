"""Cards under limits of passes, time and memory, and of models that fail."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import pytest
import torch
from engine_fixtures.sessions import document, open_session, problem, request, seeded
from engine_fixtures.watches import both_of, state_of
from tiny_net import TinyNet

from servelens.engine import plan, sampling
from servelens.engine.trust import CHECKS, bench
from servelens.protocol import ProblemError, TrustCard, read_request

NUMBERS = [name for check in CHECKS for name in check.names]
BY_PASSES = ["deletion_auc", "insertion_auc", "random_deletion_auc", "random_insertion_auc"]
RERUN = ["stability", "sanity"]


@cache
def tiny():
    return open_session(seeded(TinyNet))


def card_of(session, image=None, **keys) -> TrustCard:
    (found,) = document(session, image, **keys).attributions
    return found.trust


def numbers_of(found: TrustCard) -> dict[str, float | None]:
    return {name: getattr(found, name) for name in NUMBERS}


# What may be spent.


def test_what_the_budget_does_not_leave_is_null_with_the_estimate() -> None:
    # In these sessions an image takes 1 ms forward and 2 ms back.
    keys = {"explain": ["saliency", "grad_cam"], "trust": True}
    poor = document(tiny(), budget_ms=20, **keys)
    assert all(entry.map is not None for entry in poor.attributions)
    for entry in poor.attributions:
        assert (
            entry.trust.deletion_auc is None and "ms" in entry.trust.compared_with["deletion_auc"]
        )
        assert entry.trust.stability is not None, "two runs are cheaper than curves"
    assert poor.cost.forwards < 10
    # One map's curves are 61 images and its fellow's, of other places, 60 more.
    some = document(tiny(), budget_ms=3 + 61, **keys)
    first, second = (entry.trust for entry in some.attributions)
    assert first.deletion_auc is not None and second.deletion_auc is None
    assert some.cost.forwards == 1 + 61
    rich = document(tiny(), budget_ms=500, **keys)
    assert all(entry.trust.sanity is not None for entry in rich.attributions)
    assert problem(tiny(), budget_ms=1, **keys).type == "over_budget", "no map, no card"


def test_the_time_limit_ends_checks_and_keeps_maps(monkeypatch) -> None:
    session = open_session(seeded(TinyNet))
    forward, seconds = type(session.model.module).forward, [0.0]

    def slow(self, x: torch.Tensor) -> torch.Tensor:
        seconds[0] += 0.25
        return forward(self, x)

    monkeypatch.setattr(type(session.model.module), "forward", slow)
    for module in (plan, sampling, bench):
        clock = SimpleNamespace(perf_counter=lambda: seconds[0])
        monkeypatch.setattr(module, "time", clock)
    before = state_of(both_of(session))
    (found,) = document(session, explain="grad_cam", budget_ms=500, trust=True).attributions
    assert found.map is not None and found.problem is None
    for name in (*BY_PASSES, *RERUN):
        assert getattr(found.trust, name) is None
        assert "given up" in found.trust.compared_with[name]
    assert state_of(both_of(session)) == before


def test_a_part_has_no_card() -> None:
    with pytest.raises(ProblemError) as caught:
        request(explain="occlusion", part={"index": 0, "of": 2}, trust=True)
    assert (caught.value.problem.type, caught.value.problem.where) == ("bad_value", "trust")
    assert read_request({"part": {"index": 0, "of": 2}, "trust": False}, b"").trust is False


# What fails.


@pytest.mark.parametrize("after", [1, 4, 20, 62, 64, 67])
def test_a_module_that_raises_costs_numbers_and_no_map(after: int, monkeypatch) -> None:
    session = open_session(seeded(TinyNet), chunk=1)
    forward, calls = type(session.model.module).forward, []
    before = state_of(session.model.module)
    whole = numbers_of(card_of(session, explain="saliency", trust=True))

    def touchy(self, x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        if len(calls) == after + 1:
            raise ValueError("once, at /secret/path")
        return forward(self, x)

    monkeypatch.setattr(type(session.model.module), "forward", touchy)
    (found,) = document(session, explain="saliency", trust=True).attributions
    monkeypatch.undo()
    assert state_of(session.model.module) == before
    assert found.map is not None and found.problem is None
    numbers = numbers_of(found.trust)
    lost = {name for name in NUMBERS if numbers[name] != whole[name]}
    if after == 67:
        assert not lost, "67 images are all that it takes"
        return
    assert lost == set(BY_PASSES if after < 62 else [RERUN[after == 64]])
    for name in lost:
        assert numbers[name] is None
        assert "failed" in found.trust.compared_with[name]
        assert "/secret" not in found.trust.compared_with[name]


@pytest.mark.parametrize("most", [3, 1])
def test_memory_that_runs_out_makes_chunks_smaller(most: int, monkeypatch) -> None:
    session = open_session(seeded(TinyNet), chunk=8)
    whole = card_of(session, explain="saliency", target=1, trust=True)
    greedy(session, most, monkeypatch)
    found = card_of(session, explain="saliency", target=1, trust=True)
    for name in (*BY_PASSES, *RERUN):
        assert getattr(found, name) == pytest.approx(getattr(whole, name), abs=1e-4)


def greedy(session, most: int, monkeypatch, from_call: int = 0) -> None:
    forward, calls = type(session.model.module).forward, []

    def hungry(self, x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        if len(calls) > from_call and len(x) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(self, x)

    monkeypatch.setattr(type(session.model.module), "forward", hungry)


def test_memory_that_runs_out_for_one_image_costs_the_numbers(monkeypatch) -> None:
    session = open_session(seeded(TinyNet))
    greedy(session, 0, monkeypatch, from_call=1)
    (found,) = document(session, explain="saliency", trust=True).attributions
    assert found.map is not None and found.problem is None
    for name in (*BY_PASSES, *RERUN):
        assert getattr(found.trust, name) is None
        assert "memory" in found.trust.compared_with[name]


def test_a_model_that_cannot_be_copied_has_no_sanity_and_all_else(monkeypatch) -> None:
    session = open_session(seeded(TinyNet))

    def refuse(self, memo):
        raise TypeError("cannot pickle this")

    monkeypatch.setattr(TinyNet, "__deepcopy__", refuse, raising=False)
    found = card_of(session, explain="saliency", trust=True)
    assert found.sanity is None and "could not be checked" in found.compared_with["sanity"]
    assert found.stability is not None and found.deletion_auc is not None


@pytest.mark.parametrize(
    "explain", ["grad_cam", "guided_backprop", {"method": "rise", "samples": 4}]
)
def test_the_model_is_left_as_it_was_found(explain) -> None:
    before = state_of(tiny().model.module)
    card_of(tiny(), explain=explain, trust="full")
    assert state_of(tiny().model.module) == before
