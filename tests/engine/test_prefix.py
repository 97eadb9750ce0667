"""What lies before a layer may run once for all of its channels, where that changes no answer."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
import torchvision
from engine_fixtures.photos import photo
from engine_fixtures.sessions import document, open_session, seeded
from engine_fixtures.watches import state_of
from odd_nets import AliasNet, GatedNet, InPlaceNet, PooledNet, TellingNet
from tiny_net import TinyNet
from torch import nn

from servelens.engine import prefix
from servelens.engine.prefix import Prefixes

PHOTO = photo(seed=13)


class Joined(PooledNet):
    """Layers beside each other, whose rows are joined: by their channels, or onto the other's."""

    def __init__(self, how, **kwargs):
        super().__init__(**kwargs)
        self.left, self.right = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1)
        self.mix = nn.Conv2d(12, 6, 1)
        self.how = how

    def features(self, x):
        x = super().features(x)
        left, right = self.left(x), self.right(x)
        if self.how == "concatenated":
            return self.mix(torch.cat((left, right), dim=1)).relu()
        return left.add_(right).relu()


class Counting(PooledNet):
    """Counts its rows where they come in, and takes what lies behind for as many."""

    def forward(self, x):
        rows = len(x)
        features = self.features(x)
        return self.head(features.reshape(rows, -1, 6, 256).mean(dim=(1, 3)))


def ranked(session, layer: str) -> dict[str, dict[int, float]]:
    answer = document(session, PHOTO, rank_channels={"layer": layer, "target": [0, 1]})
    assert all(ranking.problem is None for ranking in answer.channel_ranking)
    return {
        f"{ranking.layer} {ranking.target.index}": {c.index: c.effect for c in ranking.channels}
        for ranking in answer.channel_ranking
    }


def assert_alike(session, layer: str) -> dict[tuple[str, int], bool]:
    """Rankings with prefixes run once are those without; tells for which layers they were."""
    ours = ranked(session, layer)
    # Effects are differences of logits, each of which is rounded.
    rounding = 3e-6 * max(abs(p.logit) for p in document(session, PHOTO, top_k=4).predictions)
    verdicts = session.model.prefixes._verdicts
    with mock.patch.object(Prefixes, "run_once", return_value=False):
        plain = ranked(session, layer)
    for name, effects in plain.items():
        assert ours[name] == pytest.approx(effects, rel=1e-4, abs=rounding)
        assert max(map(abs, effects.values())) > 10 * rounding, "and not of nothing"
    return dict(verdicts)


@pytest.mark.parametrize("kind", [TinyNet, PooledNet, GatedNet, InPlaceNet, AliasNet])
def test_rankings_of_every_layer_are_as_if_each_channel_had_a_whole_pass(kind):
    session = open_session(seeded(kind))
    for layer in session.describe()["layers"]:
        if layer["shape"]:
            assert_alike(session, layer["name"])


@pytest.mark.parametrize("layer", ["stem", "block.relu#0", "block", "last", "head"])
def test_only_what_lies_behind_the_layer_is_run_for_each_channel(layer):
    session = open_session(seeded(TinyNet))
    assert all(assert_alike(session, layer).values()), "or nothing would be tested here"
    entered: list[int] = []
    door = session.model.explaining([]).register_forward_pre_hook(
        lambda module, inputs: entered.append(len(inputs[0]))
    )
    cost = document(session, rank_channels={"layer": layer}).cost
    door.remove()
    chunks = -(-(cost.forwards - 1) // 8)
    assert entered == [1] * (1 + chunks)


@pytest.mark.parametrize(
    ("how", "layer", "once"),
    [
        ("concatenated", "left", False),
        ("concatenated", "mix", True),
        ("added", "left", True),
        ("added", "right", False),
    ],
)
def test_where_rows_that_do_not_match_are_joined_each_has_a_whole_pass(how, layer, once):
    session = open_session(seeded(Joined, how=how))
    before = state_of(session.model.module)
    assert assert_alike(session, layer) == {(layer, 0): once}
    assert state_of(session.model.module) == before


def test_a_model_that_counts_rows_where_they_come_in_is_found_out():
    session = open_session(seeded(Counting))
    assert assert_alike(session, "conv") == {("conv", 0): False}


def test_rows_that_come_out_alike_prove_nothing():
    net = seeded(TinyNet)
    net.head.weight.data.zero_()
    session = open_session(net)
    document(session, rank_channels={"layer": "last"})
    assert session.model.prefixes._verdicts == {("last", 0): False}


def test_a_layer_is_tried_once():
    session = open_session(seeded(TinyNet))
    with mock.patch.object(prefix, "_agrees", return_value=True) as agrees:
        for _ in range(3):
            document(session, rank_channels={"layer": "b*"}, explain="ablation_cam")
    layers = [layer["name"] for layer in session.describe()["layers"]]
    wanted = [name for name in layers if name.startswith("b")]
    assert agrees.call_count == len({*wanted, "last"})


def test_memory_that_runs_out_for_the_trial_is_no_verdict(monkeypatch):
    session = open_session(seeded(TinyNet))
    forward = TinyNet.forward

    def greedy(self, x):
        if len(x) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(self, x)

    monkeypatch.setattr(TinyNet, "forward", greedy)
    ours = ranked(session, "last")
    assert session.model.prefixes._verdicts == {}
    monkeypatch.undo()
    for name, effects in ranked(session, "last").items():
        assert ours[name] == pytest.approx(effects, abs=1e-6)
    assert session.model.prefixes._verdicts == {("last", 0): True}


def test_ablation_cam_is_as_if_each_channel_had_a_whole_pass():
    session = open_session(seeded(TellingNet))
    asked = {"explain": {"method": "ablation_cam", "layer": "conv"}, "target": 1}
    (ours,) = document(session, PHOTO, **asked).attributions
    with mock.patch.object(Prefixes, "run_once", return_value=False):
        (plain,) = document(session, PHOTO, **asked).attributions
    np.testing.assert_allclose(ours.map, plain.map, atol=1e-5 * np.abs(plain.map).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet18", "densenet121", "mobilenet_v3_small", "squeezenet1_1", "regnet_y_400mf"]
)
def test_default_layers_of_real_architectures_have_prefixes_that_run_once(name):
    session = open_session(seeded(getattr(torchvision.models, name), num_classes=7))
    assert all(assert_alike(session, session.describe()["default_layer"]).values())
