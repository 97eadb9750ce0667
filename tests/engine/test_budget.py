"""How much is spent: the size of a chunk, the estimate of a request, and when it is too much."""

from __future__ import annotations

import re

import pytest
import torch
from engine_fixtures.photos import photo
from engine_fixtures.sessions import card, document, open_session, problem, request, seeded
from engine_fixtures.watches import both_of
from odd_nets import MoodyNet
from tiny_net import TinyNet

from servelens.engine import budget
from servelens.engine.budget import Limits, calibrate, is_out_of_memory
from servelens.engine.session import Session, survey_model
from servelens.protocol import Document, Problem, ProblemError

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where a test says so."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(budget.time, "perf_counter", lambda: Clock.now)
    return Clock


def machine(clock, seconds, memory=10**9):
    """A pass that takes so long at each size, and the sizes at which it was run."""
    sizes = []

    def run(size):
        if size > memory:
            raise torch.cuda.OutOfMemoryError("too many")
        sizes.append(size)
        clock.now += seconds(size)

    return run, sizes


@pytest.mark.parametrize(
    ("seconds", "chunk"),
    [
        (lambda n: 0.002 * n, 16),  # nothing is gained or lost: the largest
        (lambda n: 0.01 + 0.002 * n, 16),  # a fixed cost is shared
        (lambda n: 0.002 * n**1.5, 1),  # each further image costs more
        (lambda n: 0.01 * n if n <= 4 else 0.02 * n, 4),  # a cache that overflows
        (lambda n: (0.02, 0.03, 0.04, 0.083, 0.2)[(1, 2, 4, 8, 16).index(n)], 8),  # nearly best
    ],
)
def test_a_chunk_is_the_largest_whose_images_cost_nearly_the_least(clock, seconds, chunk):
    run, sizes = machine(clock, seconds)
    pace = calibrate(run, CPU)
    assert pace.chunk == chunk
    assert pace.ms_per_image == pytest.approx(1000 * seconds(1))
    assert set(sizes) <= {1, 2, 4, 8, 16}


def test_no_larger_chunk_is_tried_once_a_run_takes_long(clock):
    run, sizes = machine(clock, lambda n: 0.3 * n)
    assert calibrate(run, CPU).chunk == 2
    assert max(sizes) == 2
    assert clock.now < 4, "a worker starts while this runs"


def test_a_slow_first_run_does_not_count(clock):
    times = iter([5.0])
    run, _ = machine(clock, lambda n: next(times, 0.01 * n))
    assert calibrate(run, CPU).ms_per_image == pytest.approx(10)


def test_a_chunk_is_never_larger_than_memory_allows(clock):
    run, _ = machine(clock, lambda n: 0.01, memory=5)
    assert calibrate(run, CPU).chunk == 4


def test_a_model_that_fails_on_one_image_fails_to_be_calibrated(clock):
    run, _ = machine(clock, lambda n: 0.01, memory=0)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        calibrate(run, CPU)

    def fail(size):
        raise ValueError("no such shape") if size == 1 else None

    with pytest.raises(ValueError, match="no such shape"):
        calibrate(fail, CPU)


def test_running_out_of_memory_is_told_from_other_errors():
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value), "as the processor's allocator says it"


def test_a_session_is_calibrated_on_the_real_model(monkeypatch):
    monkeypatch.setattr(budget, "LONGEST_TRIAL_S", 0.02)
    module, its_card = seeded(TinyNet), card()
    capability = survey_model(module, its_card)
    session = Session(module, its_card, capability, "sha256:0", CPU, Limits(), "float32")
    assert isinstance(document(session, explain="saliency"), Document)
    found = problem(session, explain="saliency", budget_ms=0)
    assert estimate_in(found) > 0


# Budgets of requests. The fixture's pace is 3 ms for an image forward and backward.


def estimate_in(found: Problem) -> float:
    assert (found.type, found.code, found.where) == ("over_budget", 413, "budget_ms")
    return float(re.search(r"about ([\d.,]+) ms", found.message)[1].replace(",", ""))


SESSION = open_session(seeded(TinyNet))


@pytest.mark.parametrize(
    ("keys", "forwards_and_backwards"),
    [
        ({"explain": "saliency"}, (1, 1)),
        ({"explain": ["saliency", "grad_cam"]}, (1, 1)),
        ({"explain": "saliency", "target": [0, 1, 2]}, (1, 3)),
        ({"explain": "grad_cam", "target": "top:6"}, (1, 6)),
        (
            {"explain": ["saliency", {"method": "grad_cam", "target": [0, 1]}], "target": [1, 3]},
            (1, 3),
        ),
        ({"activations": {"layers": ["*"], "sort_by": "relevance"}}, (1, 1)),
        ({"activations": "*"}, (1, 0)),
    ],
)
def test_an_estimate_grows_with_the_passes_that_are_asked_for(keys, forwards_and_backwards):
    """A backward pass costs about two forward ones."""
    forwards, backwards = forwards_and_backwards
    found = problem(SESSION, budget_ms=0.5, **keys)
    assert 0 <= estimate_in(found) - (forwards + 2 * backwards) <= 1
    assert found.hint
    answer = document(SESSION, budget_ms=forwards + 2 * backwards + 0.1, **keys)
    assert (answer.cost.forwards, answer.cost.backwards) == forwards_and_backwards


def test_a_budget_is_each_rows_own():
    rows = [
        request(photo(seed=1), explain="grad_cam", target="top:6", budget_ms=4),
        request(photo(seed=2), explain="grad_cam", budget_ms=4),
        request(photo(seed=3), budget_ms=0),
        request(photo(seed=4)),
    ]
    kinds = [getattr(answer, "type", "document") for answer in SESSION.run(rows)]
    assert kinds == ["over_budget", "document", "over_budget", "document"]


def test_a_stream_over_its_budget_is_refused_before_its_first_frame():
    with pytest.raises(ProblemError) as caught:
        SESSION.open_stream(request(explain="saliency", target="top:6", budget_ms=1, stream=True))
    assert 13 <= estimate_in(caught.value.problem) <= 14


def test_nothing_is_computed_for_what_is_over_budget():
    session = open_session(seeded(MoodyNet))
    for module in both_of(session):
        module.most_rows = 0
    for keys in ({}, {"explain": "saliency"}):
        assert problem(session, budget_ms=0, **keys).type == "over_budget"
        assert problem(session, **keys).type == "out_of_memory"


@pytest.mark.parametrize(
    ("limit", "keys", "where"),
    [
        (2, {"explain": {"method": "grad_cam", "layer": "*"}}, "explain.layer"),
        (
            2,
            {"explain": [{"method": "grad_cam", "layers": ["stem", "block.*"]}]},
            "explain[0].layers",
        ),
        (2, {"activations": "*"}, "activations.layers"),
        (1, {"activations": True}, "activations.layers"),
    ],
)
def test_more_layers_than_one_request_may_have_are_a_bad_value(limit, keys, where):
    session = open_session(seeded(TinyNet), limits=Limits(layers=limit))
    found = problem(session, **keys)
    assert (found.type, found.where) == ("bad_value", where)
    assert str(limit) in found.message


STEPPED = (
    "integrated_gradients",
    "internal_influence",
    "layer_conductance",
    "layer_integrated_gradients",
)


@pytest.mark.parametrize("limit", [20, 60])
@pytest.mark.parametrize("method", STEPPED)
def test_more_steps_than_the_archive_allows_are_a_bad_value_that_says_how_many(method, limit):
    session = open_session(seeded(TinyNet), limits=Limits(steps=limit))
    found = problem(session, explain={"method": method, "steps": limit + 1})
    assert (found.type, found.where) == ("bad_value", "explain.steps")
    assert f"from 2 to {limit}, not {limit + 1}" in found.message
    (entry,) = document(session, explain={"method": method, "steps": limit}).attributions
    assert entry.params["steps"] == limit


def test_where_the_default_would_be_too_many_steps_fewer_are_made():
    session = open_session(seeded(TinyNet), limits=Limits(steps=20))
    (entry,) = document(session, explain="integrated_gradients").attributions
    assert (entry.params["steps"], entry.coarsened, entry.problem) == (20, None, None)


def test_a_limit_of_steps_is_in_the_form_of_each_method_that_has_any():
    usual, fewer = (
        {entry["name"]: entry for entry in session.describe()["methods"]}
        for session in (SESSION, open_session(seeded(TinyNet), limits=Limits(steps=20)))
    )
    changed = {name for name in usual if fewer[name] != usual[name]}
    assert changed == set(STEPPED)
    for name in STEPPED:
        (steps,) = (param for param in fewer[name]["params"] if param["name"] == "steps")
        assert (steps["min"], steps["max"], steps["default"]) == (2, 20, 20)
        assert fewer[name]["relative_cost"] < usual[name]["relative_cost"]


def test_a_photo_of_more_pixels_than_the_archive_allows_is_refused():
    session = open_session(seeded(TinyNet), limits=Limits(pixels=1999))
    assert problem(session, photo()).type == "too_many_pixels"


def test_limits_are_told():
    limits = Limits(pixels=10**6, layers=7, response_bytes=1234, response_timeout_s=10)
    told = open_session(seeded(TinyNet), limits=limits).describe()["limits"]
    assert told == {
        "pixels": 10**6,
        "steps": limits.steps,
        "layers": 7,
        "response_bytes": 1234,
        "budget_ms": 5000.0,
    }
