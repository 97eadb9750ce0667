"""What finding a unit's field costs, and that it leaves no trace."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from engine_fixtures.alike import assert_same
from engine_fixtures.oracles import assert_close, model_input, one_pass
from engine_fixtures.photos import photo
from engine_fixtures.sessions import SMALL, document, open_session, problem, request, seeded
from engine_fixtures.watches import both_of, counted, state_of
from tiny_net import TinyNet

from servelens.engine.features.neuron import Neuron, neuron_gradient, neuron_values
from servelens.engine.further import receptive_field

PHOTO = photo(seed=12)
TINY = open_session(seeded(TinyNet))
MODES = ["gradient", "occlusion"]


def field_of(session, image=PHOTO, **asked):
    return document(session, image, receptive_field=asked).receptive_field


# What it costs.


@pytest.mark.parametrize("layer", ["stem", "block", "last"])
def test_a_measured_field_is_sixty_four_windows_at_most(layer):
    with counted(TINY) as passes:
        cost = document(
            TINY, receptive_field={"layer": layer, "channel": 0, "mode": "occlusion"}
        ).cost
    assert 1 < cost.forwards <= 1 + 64 and cost.backwards == 0
    assert sum(passes.forwards) == cost.forwards
    assert max(passes.forwards) == 8, "in chunks"


@pytest.mark.parametrize("side", [64, 224, 512])
def test_so_are_fields_of_any_size(side):
    session = open_session(seeded(TinyNet), input=replace(SMALL, size=(side, side), resize=side))
    asked = {"layer": "block.relu#0", "channel": 0, "mode": "occlusion"}
    job = session._prepare(0, request(PHOTO, receptive_field=asked))
    assert [further.passes for further in job.further] == [(64, 0)], "all of the image"


def test_a_gradient_is_one_more_forward_and_one_backward():
    cost = document(TINY, receptive_field={"layer": "block", "channel": 0}).cost
    assert (cost.forwards, cost.backwards) == (2, 1)
    keys = {"explain": "saliency", "target": [0, 1]}
    cost = document(TINY, receptive_field={"layer": "block", "channel": 0}, **keys).cost
    assert (cost.forwards, cost.backwards) == (2, 3)


def test_nothing_behind_the_unit_is_run():
    seen = []
    with_head = TINY.model.module.head.register_forward_hook(lambda *_: seen.append(1))
    try:
        neuron = Neuron("stem", 0, 0, (3, 3))
        neuron_values(TINY.model.module, model_input(TINY, PHOTO), neuron)
        neuron_gradient(TINY.model.module, model_input(TINY, PHOTO)[0], neuron)
    finally:
        with_head.remove()
    assert seen == []


def test_a_call_that_never_comes_is_no_answer():
    with pytest.raises(LookupError, match="not called 3 times"):
        neuron_values(
            TINY.model.module, model_input(TINY, PHOTO), Neuron("block.relu", 2, 0, (0, 0))
        )


def test_a_budget_too_small_is_refused_before_any_pass():
    with counted(TINY) as passes:
        asked = {"layer": "last", "channel": 0, "mode": "occlusion"}
        found = problem(TINY, receptive_field=asked, budget_ms=30)
    assert (found.type, found.code) == ("over_budget", 413)
    assert passes.forwards == []
    asked = {**asked, "layer": "block.relu#0", "window": 1, "stride": 1}
    assert problem(TINY, receptive_field=asked, budget_ms=1000).type == "over_budget"


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_counts_its_passes_up_to_what_it_said(mode):
    asked = {"layer": "last", "channel": 0, "mode": mode}
    *early, last = TINY.open_stream(request(PHOTO, receptive_field=asked, stream=True))
    cost = last["document"]["cost"]
    assert early[-1]["done"] == early[-1]["total"] == cost["forwards"] + cost["backwards"]
    assert early[-1]["text"] == "receptive_field"


def test_memory_that_runs_out_makes_chunks_smaller(monkeypatch):
    session = open_session(seeded(TinyNet))
    asked = {"layer": "last", "channel": 0, "mode": "occlusion"}
    whole, forward = field_of(session, **asked), TinyNet.forward

    def greedy(self, x):
        if len(x) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(self, x)

    monkeypatch.setattr(TinyNet, "forward", greedy)
    assert_close(field_of(session, **asked).map, whole.map)


def test_the_time_limit_ends_it_and_leaves_the_rest_and_the_model(monkeypatch):
    session = open_session(seeded(TinyNet))
    asked = {"layer": "last", "channel": 0, "mode": "occlusion"}
    whole, forward, seconds = field_of(session, **asked), TinyNet.forward, [0.0]

    def slow(self, x):
        seconds[0] += 0.25
        return forward(self, x)

    monkeypatch.setattr(TinyNet, "forward", slow)
    clock = SimpleNamespace(perf_counter=lambda: seconds[0])
    monkeypatch.setattr(receptive_field, "time", clock)
    before = state_of(both_of(session))
    answer = document(session, PHOTO, receptive_field=asked, budget_ms=500)
    assert state_of(both_of(session)) == before
    found = answer.receptive_field
    assert (found.problem.type, found.problem.where) == ("over_budget", "budget_ms")
    assert "given up after 1000 ms" in found.problem.message
    assert found.map is None and found.box == whole.box and answer.predictions
    assert answer.cost.forwards == 1 + 3 * 8, "no window after the limit"
    assert field_of(session, **asked).problem is None, "without a budget nothing is given up"


@pytest.mark.parametrize("mode", MODES)
def test_neighbours_are_as_without_it_and_so_is_the_model(mode, monkeypatch):
    session = open_session(seeded(TinyNet))
    module = session.model.module
    before = state_of(module)
    asked = {"layer": "last", "channel": 0, "mode": mode}
    rows = [request(photo(1), explain="saliency"), request(PHOTO, receptive_field=asked), request()]
    for answer, row in zip(session.run(rows), rows, strict=True):
        assert_same(answer, TINY.run([row])[0])
    assert state_of(module) == before
    assert problem(session, receptive_field={**asked, "layer": "lst"}).type == "unknown_layer"
    assert state_of(module) == before

    forward, calls = TinyNet.forward, []

    def touchy(self, x):
        calls.append(len(x))
        if len(calls) > 1:
            raise ValueError("only once")
        return forward(self, x)

    monkeypatch.setattr(TinyNet, "forward", touchy)
    answer = document(session, receptive_field=asked)
    monkeypatch.undo()
    assert answer.receptive_field.problem.type == "internal" and answer.receptive_field.map is None
    assert answer.receptive_field.box is not None and answer.predictions
    assert state_of(module) == before


def test_a_model_that_catches_every_exception_cannot_hold_a_pass_up():
    class Careful(TinyNet):
        def forward(self, x):
            try:
                return super().forward(x)
            except Exception:
                return torch.zeros(len(x), 6)

    module = seeded(Careful)
    value = neuron_values(module, model_input(TINY, PHOTO), Neuron("stem", 0, 2, (1, 1)))
    expected = one_pass(TINY.model.module, model_input(TINY, PHOTO), lambda z: z[0], "stem")
    assert value.item() == pytest.approx(expected.activation[2, 1, 1], rel=1e-4)
