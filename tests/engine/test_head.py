"""Models that end in a softmax or a sigmoid are answered and explained as if they did not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_fixtures.oracles import model_input
from engine_fixtures.photos import photo
from engine_fixtures.sessions import document, open_session, request, seeded
from odd_nets import (
    GatedNet,
    LogSoftmaxNet,
    PooledNet,
    SigmoidInPlaceNet,
    SigmoidModuleNet,
    SoftmaxFunctionNet,
    SoftmaxModuleNet,
)
from tiny_net import TinyNet

from servelens.engine.folder.card import OutputSpec

PHOTO = photo(seed=8)
HEADS = [
    (SoftmaxModuleNet, "softmax", "softmax"),
    (SoftmaxFunctionNet, "softmax", "softmax"),
    (LogSoftmaxNet, "log_softmax", "softmax"),
    (SigmoidModuleNet, "sigmoid", "sigmoid"),
    (SigmoidInPlaceNet, "sigmoid", "sigmoid"),
]
QUESTION = {
    "explain": [
        {"method": "grad_cam", "relu": False, "layers": ["conv", "act", "pool"]},
        "saliency",
    ],
    "activations": {"layers": ["act", "head"], "sort_by": "relevance"},
    "target": ["predicted", 2, {"class": 0, "versus": 3}],
    "top_k": 4,
}


@pytest.mark.parametrize(("kind", "head", "activation"), HEADS)
def test_a_head_is_looked_behind(kind, head, activation):
    headed = open_session(seeded(kind))
    bare = open_session(seeded(PooledNet), output=OutputSpec(activation=activation))
    assert headed.describe()["output"]["head"] == head
    assert document(headed, PHOTO).predictions == document(bare, PHOTO).predictions
    mine, expected = document(headed, PHOTO, **QUESTION), document(bare, PHOTO, **QUESTION)
    assert mine.predictions == expected.predictions
    for one, other in zip(mine.attributions, expected.attributions, strict=True):
        assert (one.layer, one.target) == (other.layer, other.target)
        assert np.abs(other.map).max() > 0
        np.testing.assert_allclose(one.map, other.map, rtol=1e-5)
    for one, other in zip(mine.activations, expected.activations, strict=True):
        assert [c.index for c in one.channels] == [c.index for c in other.channels]
        np.testing.assert_array_equal(one.maps, other.maps)


@pytest.mark.parametrize("rows", [1, 3])
def test_a_head_is_looked_behind_in_any_batch(rows):
    headed, bare = open_session(seeded(SoftmaxModuleNet)), open_session(seeded(PooledNet))
    asked = [request(photo(seed=seed), explain="saliency") for seed in range(rows)]
    for one, other in zip(headed.run(asked), bare.run(asked), strict=True):
        np.testing.assert_allclose(one.attributions[0].map, other.attributions[0].map, rtol=1e-4)
        assert [p.index for p in one.predictions] == [p.index for p in other.predictions]


@pytest.mark.parametrize("kind", [SoftmaxModuleNet, SigmoidModuleNet])
@pytest.mark.parametrize("explain", [False, "saliency", "grad_cam"])
@pytest.mark.parametrize("sort_by", ["activation", "relevance"])
def test_the_heads_own_module_can_be_looked_at(kind, explain, sort_by):
    session = open_session(seeded(kind))
    for layers in (["squash"], ["head", "squash"], ["*"]):
        asked = {"layers": layers, "sort_by": sort_by, "channels": "all"}
        answer = document(session, PHOTO, activations=asked, explain=explain, top_k=4)
        squashed = next(e for e in answer.activations if e.layer == "squash")
        probabilities = {p.index: p.probability for p in answer.predictions}
        for channel, value in zip(squashed.channels, squashed.maps, strict=True):
            assert value == pytest.approx(probabilities[channel.index], rel=1e-5)
        assert answer.predictions == document(session, PHOTO, top_k=4).predictions


def test_gates_inside_a_model_are_no_head():
    session = open_session(seeded(GatedNet))
    assert session.describe()["output"]["head"] == "logits"
    module = session.model.module
    expected = module(model_input(session, PHOTO))[0]
    for keys in ({}, {"explain": "saliency"}):
        for prediction in document(session, PHOTO, **keys).predictions:
            assert prediction.logit == pytest.approx(expected[prediction.index].item(), rel=1e-5)


def test_a_sharp_softmax_does_not_flatten_its_maps():
    """A network sure of itself has a softmax whose gradient is zero; its logits' is not."""
    sure = seeded(TinyNet, softmax=True)
    sure.head.weight.data *= 1e4
    session = open_session(sure)
    (saliency,) = document(session, PHOTO, explain="saliency").attributions
    (prediction,) = document(session, PHOTO, top_k=1).predictions
    assert prediction.probability == pytest.approx(1.0, abs=1e-6)
    assert saliency.map.max() > 1.0
    plain = seeded(TinyNet)
    plain.head.weight.data *= 1e4
    (expected,) = document(open_session(plain), PHOTO, explain="saliency").attributions
    np.testing.assert_allclose(saliency.map, expected.map, rtol=1e-5)


def test_a_single_probability_is_looked_behind_as_a_single_logit():
    headed = open_session(seeded(SigmoidModuleNet, num_classes=1), output=OutputSpec(("no", "yes")))
    bare = open_session(seeded(PooledNet, num_classes=1), output=OutputSpec(("no", "yes")))
    keys = {"explain": {"method": "grad_cam", "relu": False}, "target": ["no", "yes"]}
    mine, expected = document(headed, PHOTO, **keys), document(bare, PHOTO, **keys)
    assert mine.predictions == expected.predictions
    for one, other in zip(mine.attributions, expected.attributions, strict=True):
        np.testing.assert_allclose(one.map, other.map, rtol=1e-5)
    assert torch.is_grad_enabled()
