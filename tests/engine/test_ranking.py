"""Channels ranked by their effect: against closed forms, and one channel at a time by hand."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_fixtures.alike import assert_same
from engine_fixtures.oracles import model_input, one_pass, untouched
from engine_fixtures.photos import photo, plain
from engine_fixtures.sessions import document, open_session, problem, request, seeded
from engine_fixtures.watches import counted, state_of
from odd_nets import CutNet, LinearNet, OverflowNet, TellingNet
from tiny_net import TinyNet

from servelens.protocol import ClassRef, Document

PHOTO = photo(seed=11)
TINY = open_session(seeded(TinyNet))
MODES = ["ablation", "first_order"]
EDITS = [{"layer": "stem", "channels": [0]}]
DIFFERENCE = {"class": 0, "versus": 4}


def rankings(session, **asked):
    return document(session, PHOTO, rank_channels=asked).channel_ranking


def effects(ranking) -> np.ndarray:
    """In the order of the channels, each of which must be there once."""
    indices = [channel.index for channel in ranking.channels]
    assert sorted(indices) == list(range(len(indices)))
    return np.array([ranking.channels[indices.index(i)].effect for i in range(len(indices))])


@pytest.mark.parametrize("mode", MODES)
def test_in_a_linear_model_both_modes_are_exact(mode):
    """A channel's part of a logit is its weight times its mean, and nothing else depends on it."""
    session = open_session(seeded(LinearNet))
    net = copy.deepcopy(session.model.module).double()
    means = net.mix(model_input(session, PHOTO).double()).mean(dim=(2, 3))[0]
    found = rankings(session, layer="mix", target=[0, 2, {"class": 1, "versus": 0}], mode=mode)
    weights = net.head.weight
    for ranking, weight in zip(
        found, (weights[0], weights[2], weights[1] - weights[0]), strict=True
    ):
        expected = (weight * means).detach().numpy()
        np.testing.assert_allclose(effects(ranking), expected, rtol=1e-4, atol=1e-6)
        assert (ranking.layer, ranking.mode, ranking.problem) == ("mix", mode, None)


def without(layer: str, call: int, channel: int) -> np.ndarray:
    """The logits of one plain pass in which one channel of one call is zero."""
    module, calls = untouched(TINY.model.module), []

    def silence(module, inputs, output):
        calls.append(None)
        if len(calls) - 1 == call:
            output[:, channel] = 0
        return output

    module.get_submodule(layer).register_forward_hook(silence)
    with torch.no_grad():
        return module(model_input(TINY, PHOTO).double())[0].numpy()


@pytest.mark.parametrize(
    ("layer", "module", "call"),
    [
        ("stem", "stem", 0),
        ("block.relu#0", "block.relu", 0),
        ("block.relu", "block.relu", 1),
        ("last", "last", 0),
        ("head", "head", 0),
    ],
)
def test_an_effect_is_what_the_logit_loses_when_the_channel_alone_is_zero(layer, module, call):
    whole = one_pass(TINY.model.module, model_input(TINY, PHOTO), lambda z: z[0]).logits
    predicted, difference = rankings(TINY, layer=layer, target=["predicted", DIFFERENCE])
    assert predicted.target.index == int(whole.argmax())
    assert (difference.target.index, difference.target.versus) == (0, ClassRef(4, "4"))
    lost = np.array(
        [whole - without(module, call, channel) for channel in range(len(predicted.channels))]
    )
    for ranking, expected in (
        (predicted, lost[:, whole.argmax()]),
        (difference, lost[:, 0] - lost[:, 4]),
    ):
        largest = np.abs(expected).max()
        np.testing.assert_allclose(effects(ranking), expected, atol=1e-5 * largest)


@pytest.mark.parametrize("layer", ["stem", "block", "last", "head"])
def test_the_first_order_estimate_is_activation_times_gradient_summed(layer):
    found = one_pass(TINY.model.module, model_input(TINY, PHOTO), lambda z: z[3], layer)
    products = (found.activation * found.layer_gradient).reshape(len(found.activation), -1)
    (ranking,) = rankings(TINY, layer=layer, target=3, mode="first_order")
    expected = np.array([sum(channel.tolist()) for channel in products])
    np.testing.assert_allclose(effects(ranking), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("mode", MODES)
def test_the_most_effective_channel_comes_first_and_what_speaks_against_it_last(mode):
    (ranking,) = rankings(TINY, layer="last", target=1, mode=mode)
    found = [channel.effect for channel in ranking.channels]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0 > found[-1]
    alike = [c.index for c in ranking.channels if c.effect == 0]
    assert alike == sorted(alike)


def test_a_ranking_is_of_the_requests_targets_unless_it_has_its_own():
    answer = document(TINY, PHOTO, target="top:2", rank_channels={"layer": "last"})
    predicted = [p.index for p in answer.predictions[:2]]
    assert [r.target.index for r in answer.channel_ranking] == predicted
    own = {"layer": "last", "target": 5}
    answer = document(TINY, PHOTO, target="top:2", rank_channels=own, explain="saliency")
    assert [r.target.index for r in answer.channel_ranking] == [5]
    assert [a.target.index for a in answer.attributions] == predicted


def test_a_glob_ranks_the_channels_of_each_layer():
    found = rankings(TINY, layer="block.bn?", target=[0, 1], mode="first_order")
    assert [(r.layer, r.target.index) for r in found] == [
        ("block.bn1", 0),
        ("block.bn1", 1),
        ("block.bn2", 0),
        ("block.bn2", 1),
    ]
    (alone,) = rankings(TINY, layer="block.bn2", target=1, mode="first_order")
    np.testing.assert_allclose(effects(found[3]), effects(alone), rtol=1e-6)


# What it costs, and what it shares.


def test_ablation_is_one_forward_a_channel_whatever_the_targets():
    with counted(TINY) as passes:
        asked = {"layer": "last", "target": [0, 1, DIFFERENCE]}
        cost = document(TINY, rank_channels=asked).cost
    assert (cost.forwards, cost.backwards) == (1 + 12, 0)
    assert passes.backwards == []


def test_ablation_cam_of_the_same_layer_takes_no_further_pass():
    asked = {"explain": {"method": "ablation_cam", "layer": "last"}, "target": 2}
    answer = document(TINY, PHOTO, rank_channels={"layer": "last"}, **asked)
    assert answer.cost.forwards == 1 + 12
    (alone,) = document(TINY, PHOTO, **asked).attributions
    np.testing.assert_allclose(answer.attributions[0].map, alone.map, atol=1e-6)
    (ranking,) = rankings(TINY, layer="last", target=2)
    np.testing.assert_allclose(effects(answer.channel_ranking[0]), effects(ranking), atol=1e-6)


def test_the_first_order_estimate_shares_the_pass_of_gradient_maps():
    asked = {"layer": "block", "mode": "first_order"}
    with counted(TINY) as passes:
        keys = {"explain": ["grad_cam", "saliency"], "target": [1, 2]}
        cost = document(TINY, rank_channels=asked, **keys).cost
    assert (cost.forwards, cost.backwards) == (1, 2)
    assert (sum(passes.forwards), sum(passes.backwards)) == (1, 2)
    alone = document(TINY, rank_channels=asked, target=[1, 2]).cost
    assert (alone.forwards, alone.backwards) == (1, 2)


@pytest.mark.parametrize("chunk", [1, 5])
@pytest.mark.parametrize("mode", MODES)
def test_rankings_do_not_depend_on_chunks_or_neighbours(mode, chunk):
    asked = {"rank_channels": {"layer": "block", "target": [1, 0], "mode": mode}}
    other = open_session(seeded(TinyNet), chunk=chunk)
    rows = [request(photo(seed=1), explain="grad_cam"), request(PHOTO, **asked), request()]
    for answer, row in zip(other.run(rows), rows, strict=True):
        (alone,) = TINY.run([row])
        assert_same(by_index(answer), by_index(alone))


def by_index(answer: Document) -> Document:
    """Rounding decides which of two channels that are alike comes first."""
    if answer.channel_ranking is None:
        return answer
    sorted_rankings = tuple(
        replace(ranking, channels=tuple(sorted(ranking.channels, key=lambda c: c.index)))
        for ranking in answer.channel_ranking
    )
    return replace(answer, channel_ranking=sorted_rankings)


def test_a_budget_too_small_is_refused_before_any_pass():
    with counted(TINY) as passes:
        found = problem(TINY, rank_channels={"layer": "last"}, budget_ms=12)
    assert (found.type, found.code) == ("over_budget", 413)
    assert passes.forwards == []


def test_a_stream_tells_its_progress_and_shows_no_map():
    asked = {"layer": "last", "target": [0, 1]}
    *early, last = TINY.open_stream(request(PHOTO, rank_channels=asked, stream=True))
    assert {frame["frame"] for frame in early} == {"progress"}
    assert (early[-1]["done"], early[-1]["total"]) == (13, 13)
    assert len(last["document"]["channel_ranking"]) == 2


def test_memory_that_runs_out_makes_chunks_smaller(monkeypatch):
    session = open_session(seeded(TinyNet))
    (whole,) = rankings(session, layer="block", target=1)
    forward = TinyNet.forward

    def greedy(self, x):
        if len(x) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(self, x)

    monkeypatch.setattr(TinyNet, "forward", greedy)
    (found,) = rankings(session, layer="block", target=1)
    np.testing.assert_allclose(effects(found), effects(whole), atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_cards_and_pictures_are_of_maps_and_not_of_rankings(mode):
    asked = {"rank_channels": {"layer": "last", "target": 1, "mode": mode}, "ablate": EDITS}
    plain = document(TINY, PHOTO, explain="grad_cam", trust=True, target=1)
    answer = document(TINY, PHOTO, explain="grad_cam", trust=True, render=True, target=1, **asked)
    assert answer.attributions[0].trust == plain.attributions[0].trust
    assert answer.attributions[0].image is not None and len(answer.attributions) == 1
    (ranking,) = answer.channel_ranking
    assert ranking.problem is None and len(ranking.channels) == 12
    more = 1 + (12 if mode == "ablation" else 0)
    assert answer.cost.forwards == plain.cost.forwards + more
    *early, _ = TINY.open_stream(
        request(PHOTO, explain="grad_cam", trust=True, target=1, stream=True, **asked)
    )
    told = [frame for frame in early if frame["frame"] == "progress"]
    assert told[-1]["done"] <= told[-1]["total"]
    assert [f["path"] for f in early if f["frame"] == "partial"] == ["attributions/0/map"]


# What cannot be ranked.


@pytest.mark.parametrize("mode", MODES)
def test_a_layer_without_channels_is_unsupported_in_its_entry(mode):
    session = open_session(seeded(TellingNet))
    found = rankings(session, layer="*", target=0, mode=mode)
    refused = {r.layer for r in found if r.problem is not None}
    assert {"pair", "row_mean", "scale", "windows"} <= refused
    for ranking in found:
        if ranking.layer in ("conv", "act"):
            assert ranking.problem is None and len(ranking.channels) == 6
        elif ranking.layer in refused:
            assert ranking.problem.type == "unsupported" and ranking.channels == ()


def test_a_part_of_a_ranking_is_unsupported_beside_parts_of_maps():
    part = {"index": 0, "of": 2}
    answer = document(TINY, rank_channels={"layer": "last"}, explain="occlusion", part=part)
    (ranking,) = answer.channel_ranking
    assert ranking.problem.type == "unsupported" and ranking.problem.where == "part"
    assert answer.attributions[0].map is not None


def test_an_estimate_that_no_gradient_reaches_is_unsupported_and_ablation_is_not():
    session = open_session(seeded(CutNet))
    first_order, ablation = (rankings(session, layer="conv", mode=mode)[0] for mode in MODES[::-1])
    assert first_order.problem.type == "unsupported" and "conv" in first_order.problem.message
    assert ablation.problem is None and any(c.effect for c in ablation.channels)


def test_effects_that_are_not_finite_are_a_problem_of_their_entry():
    session = open_session(seeded(OverflowNet, where="gradient"))
    asked = {"layer": "act", "mode": "first_order"}
    (found,) = document(session, plain(255), rank_channels=asked).channel_ranking
    assert found.problem.type == "unsupported" and found.channels == ()


@pytest.mark.parametrize(
    ("asked", "type", "where"),
    [
        ({"layer": "lst"}, "unknown_layer", "rank_channels.layer"),
        ({"layer": "last", "target": "no such"}, "unknown_class", "rank_channels.target"),
        ({"layer": "last", "target": [0, 6]}, "unknown_class", "rank_channels.target[1]"),
    ],
)
def test_what_the_model_does_not_have_is_refused_with_its_place(asked, type, where):
    found = problem(TINY, rank_channels=asked)
    assert (found.type, found.code, found.where) == (type, 400, where)


@pytest.mark.parametrize("mode", MODES)
def test_the_model_is_as_it_was_after_success_and_after_errors(mode, monkeypatch):
    session = open_session(seeded(TinyNet))
    before = state_of(session.model.module)
    document(session, rank_channels={"layer": "block", "mode": mode})
    assert state_of(session.model.module) == before
    forward, calls = TinyNet.forward, []

    def touchy(self, x):
        calls.append(len(x))
        if len(calls) > 1:
            raise ValueError("only once")
        return forward(self, x)

    monkeypatch.setattr(TinyNet, "forward", touchy)
    (found,) = document(session, rank_channels={"layer": "block", "mode": mode}).channel_ranking
    monkeypatch.undo()
    assert (found.problem is None) == (mode == "first_order"), "which has no second pass"
    assert state_of(session.model.module) == before
