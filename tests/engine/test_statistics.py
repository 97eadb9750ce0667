"""Numbers and orders of channels, against NumPy written out slowly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from engine_fixtures.oracles import model_input, one_pass
from engine_fixtures.photos import photo
from engine_fixtures.sessions import document, open_session, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tiny_net import TinyNet

from servelens.engine.features.channels import select_channels
from servelens.engine.features.statistics import statistics

PHOTO = photo(seed=4)
TINY = open_session(seeded(TinyNet))
ACTIVATIONS = arrays(
    np.float32,
    array_shapes(min_dims=1, max_dims=3, max_side=7),
    elements=st.one_of(
        st.just(0.0), st.sampled_from([0.01, 0.02, -0.5]), st.floats(-1e4, 1e4, width=32)
    ),
)


def check(values: np.ndarray) -> None:
    """Number by number, as the words of the protocol say."""
    found = statistics(torch.from_numpy(values))
    numbers = [float(value) for value in values.reshape(-1)]
    channels = [[float(v) for v in channel.reshape(-1)] for channel in values]
    mean = math.fsum(numbers) / len(numbers)
    squares = math.fsum((value - mean) ** 2 for value in numbers)
    largest = max(abs(value) for value in numbers)
    assert found.mean == pytest.approx(mean, rel=1e-6, abs=1e-6 * largest)
    unbiased = math.sqrt(squares / (len(numbers) - 1)) if len(numbers) > 1 else 0.0
    assert found.std == pytest.approx(unbiased, rel=1e-6, abs=1e-6 * largest)
    assert found.sparsity == pytest.approx(sum(v == 0 for v in numbers) / len(numbers))
    assert (found.max, found.min) == (max(numbers), min(numbers))
    means = [math.fsum(channel) / len(channel) for channel in channels]
    if all(abs(mean - 0.01) > 1e-7 for mean in means):
        assert found.active_channels == sum(mean > 0.01 for mean in means)
    assert found.dead_channels == sum(not any(channel) for channel in channels)
    assert found.num_channels == values.shape[0]
    assert found.spatial_size == values.shape[1:]


@settings(max_examples=150, deadline=None)
@given(ACTIVATIONS)
def test_statistics_are_what_their_names_say(values):
    check(values)


def test_statistics_of_a_small_activation_by_hand():
    values = torch.tensor([[[0.0, 0.0]], [[1.0, 3.0]], [[-4.0, 0.0]], [[0.0101, 0.0101]]])
    found = statistics(values)
    assert found.mean == pytest.approx(0.02 / 8 + 0.0002 / 8)
    assert found.sparsity == 3 / 8
    assert (found.active_channels, found.dead_channels, found.num_channels) == (2, 1, 4)
    assert (found.min, found.max) == (-4.0, 3.0)
    assert found.spatial_size == (1, 2)


def test_a_channel_of_opposites_is_not_dead_and_one_of_minus_zeros_is():
    found = statistics(torch.tensor([[1.0, -1.0], [-0.0, 0.0]]))
    assert found.dead_channels == 1
    assert found.sparsity == 0.5


@pytest.mark.parametrize("size", [1e-30, 1e20, 3e38])
def test_statistics_of_any_finite_numbers_are_finite(size):
    values = (torch.arange(60, dtype=torch.float32).reshape(4, 3, 5) - 7) * (size / 60)
    found = statistics(values)
    assert found.std == pytest.approx(values.double().std().item(), rel=1e-6)
    assert found.std > 0


def test_statistics_are_of_all_channels_whatever_is_shown():
    name, session = "block", TINY
    whole = one_pass(session.model.module, model_input(session, PHOTO), lambda z: z[0], name)
    for channels in (1, "all", [3, 4]):
        asked = {"layers": [name], "channels": channels}
        (entry,) = document(session, PHOTO, activations=asked).activations
        assert entry.statistics.mean == pytest.approx(whole.activation.mean(), rel=1e-5)
        assert entry.statistics.std == pytest.approx(whole.activation.std(ddof=1), rel=1e-5)
        assert entry.statistics.num_channels == 8
        assert entry.shape == (8, 16, 16)


# Orders.


def order_of(layer: str, sort_by: str, **keys):
    asked = {"layers": [layer], "channels": "all", "sort_by": sort_by}
    (entry,) = document(TINY, PHOTO, activations=asked, **keys).activations
    return [channel.index for channel in entry.channels]


def in_order(scores: np.ndarray) -> list[int]:
    return sorted(range(len(scores)), key=lambda index: -scores[index])


def plain(layer: str, score):
    return one_pass(TINY.model.module, model_input(TINY, PHOTO), score, layer)


@pytest.mark.parametrize("layer", ["stem", "block", "last", "head"])
def test_channels_are_sorted_by_their_mean_or_their_variance(layer):
    activation = plain(layer, lambda z: z[0]).activation
    channels = activation.reshape(len(activation), -1)
    assert order_of(layer, "activation") == in_order(channels.mean(axis=1))
    if channels.shape[1] > 1:
        assert order_of(layer, "variance") == in_order(channels.var(axis=1))


@pytest.mark.parametrize("layer", ["stem", "block", "last"])
@pytest.mark.parametrize("target", [0, 3, {"class": 1, "versus": 5}])
def test_relevance_is_the_mean_of_gradient_times_activation(layer, target):
    def score(logits):
        return logits[1] - logits[5] if isinstance(target, dict) else logits[target]

    found = plain(layer, score)
    scores = (found.layer_gradient * found.activation).mean(axis=(1, 2))
    assert order_of(layer, "relevance", target=target) == in_order(scores)


def test_relevance_means_the_first_target_of_the_request():
    alone = order_of("block", "relevance", target=4)
    assert order_of("block", "relevance", target=[4, 0, 1]) == alone
    explained = {"explain": [{"method": "saliency", "target": [0, 1]}]}
    assert order_of("block", "relevance", target=[4, 2], **explained) == alone
    assert order_of("block", "relevance", target=0) != alone


def test_a_random_order_is_the_seeds_and_nobody_elses():
    first = order_of("last", "random", seed=1)
    assert sorted(first) == list(range(12))
    torch.manual_seed(123)
    torch.rand(5)
    assert order_of("last", "random", seed=1) == first
    orders = {tuple(order_of("last", "random", seed=seed)) for seed in range(8)}
    assert len(orders) == 8
    assert order_of("last", "random", seed=2**63 - 1)


@pytest.mark.parametrize("sort_by", ["activation", "variance", "random", "relevance"])
def test_fewer_channels_are_the_first_of_all(sort_by):
    every = order_of("last", sort_by)
    asked = {"layers": ["last"], "channels": 5, "sort_by": sort_by}
    (entry,) = document(TINY, PHOTO, activations=asked).activations
    assert [channel.index for channel in entry.channels] == every[:5]
    assert entry.next is None


@pytest.mark.parametrize("sort_by", ["activation", "variance", "random", "relevance"])
def test_a_list_of_channels_is_answered_as_given_with_its_maps_and_means(sort_by):
    wanted = [7, 0, 11, 7]
    asked = {"layers": ["last"], "channels": wanted, "sort_by": sort_by}
    (entry,) = document(TINY, PHOTO, activations=asked).activations
    activation = plain("last", lambda z: z[0]).activation
    assert [channel.index for channel in entry.channels] == wanted
    for channel, values in zip(entry.channels, entry.maps, strict=True):
        np.testing.assert_allclose(values, activation[channel.index], rtol=1e-4, atol=1e-6)
        assert channel.mean == pytest.approx(activation[channel.index].mean(), rel=1e-4, abs=1e-6)


def test_channels_that_are_alike_stay_in_their_order():
    alike = torch.zeros(6, 2, 2)
    assert select_channels(alike, None, "all", "activation", 0) == tuple(range(6))
    alike[4] = 1
    assert select_channels(alike, None, 3, "activation", 0) == (4, 0, 1)


def test_by_default_sixteen_channels_of_the_strongest_mean():
    session = open_session(seeded(TinyNet))
    (entry,) = document(session, PHOTO, activations="last").activations
    means = [channel.mean for channel in entry.channels]
    assert len(means) == 12, "it has no more"
    assert means == sorted(means, reverse=True)
