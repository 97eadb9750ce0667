"""Channels silenced, levelled or scaled, against closed forms and forward passes by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from engine_fixtures.alike import assert_near, assert_same
from engine_fixtures.oracles import model_input
from engine_fixtures.photos import photo
from engine_fixtures.sessions import document, open_session, problem, request, seeded
from engine_fixtures.watches import counted, state_of
from odd_nets import InPlaceNet, LinearNet, OutOfPlaceNet, TellingNet
from tiny_net import TinyNet
from torch import nn
from torch.nn import functional

from servelens.engine.features.ablation import Edit, ablated
from servelens.protocol import Document, to_wire

PHOTO = photo(seed=5)
TINY = open_session(seeded(TinyNet))
LINEAR = open_session(seeded(LinearNet))
# Some of them are above zero in one place and below in another, so that their mean differs.
MANY = [0, 1, 2, 3, 5, 6, 7]


def logits(predictions) -> np.ndarray:
    """In the order of the classes; top_k must have asked for all."""
    found = np.full(len(predictions), np.nan)
    for prediction in predictions:
        found[prediction.index] = prediction.logit
    return found


def ablation_of(session, *edits, **keys):
    asked = {"top_k": session.model.classes.count, "ablate": list(edits), **keys}
    return document(session, PHOTO, **asked).ablation


# Closed forms.


@pytest.mark.parametrize(("mode", "left"), [("zero", 0.0), ("scale", -1.5), ("mean", 1.0)])
@pytest.mark.parametrize("channels", [[2], [0, 3], "all"])
def test_a_linear_model_changes_by_what_the_channels_were_worth(mode, left, channels):
    """Its logits are a sum over channels, of which `left` times the chosen ones stays; a mean over
    places is all that its head reads of a channel."""
    net = copy.deepcopy(LINEAR.model.module).double()
    means = net.mix(model_input(LINEAR, PHOTO).double()).mean(dim=(2, 3))[0]
    worth = (net.head.weight * means).detach().numpy()
    edit = {"layer": "mix", "channels": channels, "mode": mode}
    if mode == "scale":
        edit["factor"] = left
    found = ablation_of(LINEAR, edit)
    chosen = range(4) if channels == "all" else channels
    expected = worth.sum(axis=1) + (left - 1) * worth[:, list(chosen)].sum(axis=1)
    np.testing.assert_allclose(logits(found.before), worth.sum(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(logits(found.after), expected, rtol=1e-4, atol=1e-6)


def test_predictions_after_are_ranked_anew_and_as_many():
    found = document(TINY, PHOTO, top_k=3, ablate=[{"layer": "last", "channels": "all"}]).ablation
    bias = TINY.model.module.head.bias.detach()
    assert [p.logit for p in found.after] == pytest.approx(sorted(bias.tolist(), reverse=True)[:3])
    assert [p.index for p in found.after] == bias.argsort(descending=True)[:3].tolist()
    assert found.after[0].probability == pytest.approx(float(bias.softmax(dim=0).max()))
    assert_near(
        to_wire(found.before), to_wire(document(TINY, PHOTO, top_k=3).predictions), "before"
    )


# By hand.


def by_hand(change: dict[str, Callable[[torch.Tensor], torch.Tensor]]) -> np.ndarray:
    """TinyNet's forward pass written out, with what each layer gives changed on the way."""
    net = copy.deepcopy(TINY.model.module).double()
    block = net.block

    def at(name: str, values: torch.Tensor) -> torch.Tensor:
        return change.get(name, lambda values: values)(values)

    stem = at("stem", net.stem(model_input(TINY, PHOTO).double()))
    inner = at("block.relu#0", functional.relu(block.bn1(at("block.conv1", block.conv1(stem)))))
    inner = block.bn2(block.conv2(inner))
    out = at("block", at("block.relu", functional.relu(inner + stem)))
    last = functional.relu(at("last", net.last(out)))
    return net.head(last.mean(dim=(2, 3)))[0].detach().numpy()


def edited(channels: list[int], mode: str, factor: float = 1.0):
    def change(values: torch.Tensor) -> torch.Tensor:
        values = values.clone()
        for channel in channels:
            own = values[:, channel]
            if mode == "zero":
                values[:, channel] = 0
            elif mode == "mean":
                values[:, channel] = sum(own.flatten().tolist()) / own.numel()
            else:
                values[:, channel] = own * factor
        return values

    return change


@pytest.mark.parametrize("mode", ["zero", "mean", "scale"])
@pytest.mark.parametrize("layer", ["stem", "block.conv1", "block.relu#0", "block.relu", "last"])
def test_any_layer_and_any_call_is_changed_as_by_hand(layer, mode):
    edit = {"layer": layer, "channels": MANY, "mode": mode}
    if mode == "scale":
        edit["factor"] = 2.5
    found = ablation_of(TINY, edit)
    expected = by_hand({layer: edited(MANY, mode, 2.5)})
    np.testing.assert_allclose(logits(found.after), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logits(found.before), by_hand({}), rtol=1e-4, atol=1e-6)
    assert np.abs(expected - by_hand({})).max() > 1e-4, "an edit that changes nothing"


def test_a_name_alone_is_the_last_call_and_another_is_another():
    first, last = (
        ablation_of(TINY, {"layer": layer, "channels": "all"})
        for layer in ("block.relu#0", "block.relu")
    )
    assert ablation_of(TINY, {"layer": "block.relu#1", "channels": "all"}) == last
    assert first.after != last.after


def test_edits_are_applied_together_and_those_of_a_layer_in_the_order_given():
    found = ablation_of(
        TINY,
        {"layer": "last", "channels": [0, 1], "mode": "scale", "factor": 3},
        {"layer": "stem", "channels": [2, 5]},
        {"layer": "last", "channels": [1], "mode": "mean"},
    )
    expected = by_hand(
        {
            "stem": edited([2, 5], "zero"),
            "last": lambda x: edited([1], "mean")(edited([0, 1], "scale", 3)(x)),
        }
    )
    np.testing.assert_allclose(logits(found.after), expected, rtol=1e-4, atol=1e-6)


def test_a_glob_is_every_layer_that_it_stands_for():
    found = ablation_of(TINY, {"layer": "*st*", "channels": [1]})
    expected = by_hand({"stem": edited([1], "zero"), "last": edited([1], "zero")})
    np.testing.assert_allclose(logits(found.after), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", ["first", "relu#0", "second", "norm", "relu#1", "relu"])
def test_a_model_that_works_in_place_is_changed_like_its_twin_that_does_not(layer):
    edit = {"layer": layer, "channels": [0, 2], "mode": "scale", "factor": -2}
    in_place, out_of_place = (
        ablation_of(open_session(seeded(kind)), edit) for kind in (InPlaceNet, OutOfPlaceNet)
    )
    np.testing.assert_allclose(logits(in_place.after), logits(out_of_place.after), rtol=1e-4)
    assert np.abs(logits(in_place.after) - logits(in_place.before)).max() > 1e-4


# What it costs, and what it leaves alone.


def test_it_costs_one_more_forward_of_its_own_row_alone():
    edits = [{"layer": "last", "channels": [1]}, {"layer": "stem", "channels": "all"}]
    rows = [request(photo(seed=1)), request(PHOTO, ablate=edits), request(activations="last")]
    with counted(TINY) as passes:
        answers = TINY.run(rows)
    assert [(a.cost.forwards, a.cost.backwards) for a in answers] == [(1, 0), (2, 0), (1, 0)]
    assert sum(passes.predicted) + sum(passes.forwards) == 4


def test_neighbours_of_a_row_and_its_own_maps_are_as_without_it():
    asked = {"explain": ["grad_cam", "occlusion"], "activations": "block"}
    edits = {"ablate": [{"layer": "block.*", "channels": [0, 1], "mode": "mean"}]}
    rows = [request(photo(seed=1), **asked), request(PHOTO, **asked, **edits), request(photo(2))]
    together = TINY.run(rows)
    for answer, row in zip(together, rows, strict=True):
        assert_same(answer, TINY.run([row])[0])
    plain = document(TINY, PHOTO, **asked)
    for mine, others in zip(together[1].attributions, plain.attributions, strict=True):
        np.testing.assert_allclose(mine.map, others.map, atol=1e-6)


def test_the_model_is_as_it_was_after_success_and_after_errors(monkeypatch):
    session = open_session(seeded(TinyNet))
    module = session.model.module
    before = state_of(module)
    edits = [{"layer": "block.*", "channels": [0]}, {"layer": "stem", "channels": "all"}]
    document(session, ablate=edits)
    assert state_of(module) == before
    assert problem(session, ablate=[{"layer": "stm", "channels": [0]}]).type == "unknown_layer"
    assert state_of(module) == before

    calls = []
    forward = TinyNet.forward

    def touchy(self, x):
        calls.append(len(x))
        if len(calls) > 1:
            raise ValueError("only once")
        return forward(self, x)

    monkeypatch.setattr(TinyNet, "forward", touchy)
    answer = document(session, ablate=edits, explain="saliency")
    monkeypatch.undo()
    assert answer.ablation.problem.type == "internal" and answer.ablation.after == ()
    assert answer.ablation.before == answer.predictions and answer.attributions[0].map is not None
    assert "only once" not in answer.ablation.problem.message
    assert state_of(module) == before


def test_an_answer_that_is_not_finite_is_a_problem_of_the_ablation():
    net = seeded(TinyNet)
    net.head.weight.data *= 1e37
    session = open_session(net)
    edit = {"layer": "last", "channels": "all", "mode": "scale", "factor": 100}
    answer = document(session, PHOTO, ablate=[edit, edit, edit])
    assert answer.predictions and answer.ablation.after == ()
    assert answer.ablation.problem.type == "unsupported"


def test_memory_that_runs_out_costs_the_ablation_alone(monkeypatch):
    session = open_session(seeded(TinyNet))
    forward, calls = TinyNet.forward, []

    def greedy(self, x):
        calls.append(len(x))
        if len(calls) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(self, x)

    monkeypatch.setattr(TinyNet, "forward", greedy)
    answer = document(session, ablate=[{"layer": "last", "channels": [0]}])
    assert isinstance(answer, Document) and answer.ablation.problem.type == "out_of_memory"


# What is refused.


@pytest.mark.parametrize(
    ("edit", "type", "where", "hint"),
    [
        ({"layer": "lost", "channels": [0]}, "unknown_layer", "ablate[1].layer", "'last'"),
        ({"layer": "block.relu#2", "channels": [0]}, "unknown_layer", "ablate[1].layer", "#1"),
        ({"layer": "last", "channels": [0, 12]}, "bad_value", "ablate[1].channels", "0 to 11"),
        ({"layer": "*", "channels": [7]}, "bad_value", "ablate[1].channels", "0 to 5"),
    ],
)
def test_what_the_model_does_not_have_is_refused_with_its_place(edit, type, where, hint):
    found = problem(TINY, ablate=[{"layer": "stem", "channels": [0]}, edit])
    assert (found.type, found.code, found.where) == (type, 400, where)
    assert hint in found.hint


@pytest.mark.parametrize("layer", ["pair", "row_mean", "scale", "windows"])
def test_a_layer_without_channels_cannot_be_changed_and_nothing_is_run_for_it(layer):
    session = open_session(seeded(TellingNet))
    edits = [{"layer": "conv", "channels": [0]}, {"layer": layer, "channels": [0]}]
    answer = document(session, ablate=edits)
    found = answer.ablation
    assert (found.problem.type, found.problem.where) == ("unsupported", "ablate[1].layer")
    assert found.after == () and found.before == answer.predictions
    assert answer.cost.forwards == 1


# In process, on any module.


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Identity()
        self.fails = False

    def forward(self, x):
        first = self.layer(x)
        if self.fails:
            raise ValueError("as told")
        return first + 10 * self.layer(x)


ONES = torch.ones(1, 2, 1, 1)


@pytest.mark.parametrize(
    ("call", "expected"), [(None, [0, 11]), (0, [10, 11]), (1, [1, 11]), (2, [11, 11])]
)
def test_an_edit_is_of_one_call_or_of_every_one(call, expected):
    module = Twice()
    with ablated(module, [Edit("layer", (0,), call=call)]) as changed:
        assert changed is module
        for _ in range(2):
            assert module(ONES).flatten().tolist() == expected
    assert module(ONES).flatten().tolist() == [11, 11]


def test_calls_are_counted_anew_after_a_pass_that_failed():
    module = Twice()
    with ablated(module, [Edit("layer", (0,), call=0)]):
        module.fails = True
        with pytest.raises(ValueError, match="as told"):
            module(ONES)
        module.fails = False
        assert module(ONES).flatten().tolist() == [10, 11]


def test_whatever_is_raised_inside_the_module_is_itself_again():
    module = Twice()
    before = state_of(module)
    with pytest.raises(KeyboardInterrupt), ablated(module, [Edit("layer")]):
        raise KeyboardInterrupt
    assert state_of(module) == before
    with pytest.raises(AttributeError), ablated(module, [Edit("layer"), Edit("no_such")]):
        pass
    assert state_of(module) == before


def test_what_cannot_be_changed_says_so():
    module = nn.Sequential(nn.MaxPool2d(2, return_indices=True))
    with ablated(module, [Edit("0")]), pytest.raises(TypeError, match="MaxPool2d"):
        module(torch.ones(1, 1, 2, 2))
    with ablated(Twice(), [Edit("layer", mode="dim")]) as other:  # noqa: SIM117
        with pytest.raises(ValueError, match="'dim' is no mode"):
            other(ONES)


def test_gradients_pass_through_what_is_left():
    module = Twice()
    x = torch.ones(1, 2, 1, 1, requires_grad=True)
    with ablated(module, [Edit("layer", (0,), "scale", 0.5)]):
        module(x).sum().backward()
    assert x.grad.flatten().tolist() == [5.5, 11]
