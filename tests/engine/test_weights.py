"""What layers have learned: numbers against NumPy, kernels as they are, in pages that lose none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_fixtures.alike import assert_same
from engine_fixtures.photos import photo
from engine_fixtures.sessions import document, open_session, problem, request, seeded
from engine_fixtures.watches import counted
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from odd_nets import PooledNet, TellingNet
from tiny_net import TinyNet
from torch import nn

from servelens.codec import pack_json, pack_npz, write_json, write_npz
from servelens.engine.budget import Limits
from servelens.engine.features import weights as learned
from servelens.engine.features.weights import kernel_norms, weight_statistics, weights_of
from servelens.protocol import Document, Problem, read_request

TINY = open_session(seeded(TinyNet))
VALUES = arrays(
    np.float32,
    array_shapes(min_dims=1, max_dims=4, max_side=5),
    elements=st.one_of(st.sampled_from([0.0, 1.0, -1.0, 0.01]), st.floats(-1e3, 1e3, width=32)),
)


def alone(session, weights, **keys):
    """The answer to a request for weights without an image."""
    (answer,) = session.run([read_request({"weights": weights, **keys}, None)])
    assert isinstance(answer, Document), answer
    return answer


# Numbers.


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_statistics_are_what_their_names_say(values):
    found = weight_statistics(torch.from_numpy(values))
    numbers = [float(value) for value in values.reshape(-1)]
    mean = math.fsum(numbers) / len(numbers)
    largest = max(abs(value) for value in numbers)
    squares = math.fsum((value - mean) ** 2 for value in numbers)
    assert found.count == len(numbers)
    assert found.mean == pytest.approx(mean, rel=1e-9, abs=1e-9 * largest)
    unbiased = math.sqrt(squares / (len(numbers) - 1)) if len(numbers) > 1 else 0.0
    assert found.std == pytest.approx(unbiased, rel=1e-9, abs=1e-9 * largest)
    assert found.norm == pytest.approx(math.sqrt(math.fsum(v * v for v in numbers)), rel=1e-9)
    assert (found.min, found.max) == (min(numbers), max(numbers))
    assert found.near_zero_at_most == 0.01 * largest
    small = sum(abs(value) <= 0.01 * largest for value in numbers)
    assert found.near_zero == small / len(numbers)
    counts, edges = np.histogram(values.astype(np.float64), bins=64)
    assert found.histogram.counts == tuple(counts) and sum(counts) == len(numbers)
    np.testing.assert_allclose(found.histogram.edges, edges, rtol=1e-12)


def test_statistics_by_hand():
    found = weight_statistics(torch.tensor([[3.0, -4.0], [0.0, 0.04]]))
    assert (found.count, found.norm) == (4, pytest.approx(math.sqrt(25.0016)))
    assert (found.near_zero, found.near_zero_at_most) == (0.5, pytest.approx(0.04))
    assert weight_statistics(torch.zeros(5)).near_zero == 1


def test_statistics_do_not_depend_on_how_many_weights_are_taken_at_once(monkeypatch):
    values = torch.randn(7, 11, 3, generator=torch.Generator().manual_seed(0))
    whole = weight_statistics(values)
    monkeypatch.setattr(learned, "AT_ONCE", 10)
    found = weight_statistics(values)
    assert found.histogram == whole.histogram and found.near_zero == whole.near_zero
    assert (found.mean, found.std, found.norm) == pytest.approx((whole.mean, whole.std, whole.norm))


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Conv2d(6, 4, (3, 2)), (4, 6, 3, 2)),
        (nn.Conv2d(6, 4, 3, groups=2), (4, 3, 3, 3)),
        (nn.Linear(7, 5), (5, 7)),
        (nn.BatchNorm2d(9), (9,)),
        (nn.PReLU(), (1,)),
        (nn.ConvTranspose2d(6, 4, (3, 2)), (4, 6, 3, 2)),
        (nn.ConvTranspose2d(6, 4, 3, groups=2), (4, 3, 3, 3)),
    ],
)
def test_kernels_have_the_outputs_that_they_make_first(module, shape):
    """What an output is made with: set to zero, that output alone is its bias alone."""
    found = weights_of(module)
    assert tuple(found.kernels.shape) == shape
    norms = [math.sqrt(sum(v * v for v in k.flatten().tolist())) for k in found.kernels.double()]
    np.testing.assert_allclose(kernel_norms(found.kernels), norms, rtol=1e-5)
    if len(shape) == 4:
        image = torch.randn(1, 6, 8, 8, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            before = module(image)
            found.kernels[1] = 0
            if module.transposed:
                shares = found.kernels.unflatten(0, (module.groups, -1)).transpose(1, 2)
                module.weight.copy_(shares.flatten(0, 1))
            after = module(image)
        changed = (before != after).flatten(2).any(dim=2)[0].tolist()
        assert changed == [False, True, False, False]


# Entries.


def test_an_entry_has_the_layers_weights_and_its_bias():
    (entry,) = alone(TINY, "stem").weights
    stem = TINY.model.module.stem
    assert (entry.layer, entry.shape, entry.channels) == ("stem", (8, 3, 3, 3), tuple(range(8)))
    np.testing.assert_array_equal(entry.kernels, stem.weight.detach().numpy())
    np.testing.assert_array_equal(entry.bias, stem.bias.detach().numpy())
    flat = stem.weight.detach().reshape(8, -1)
    np.testing.assert_allclose(entry.kernel_norms, flat.norm(dim=1).numpy(), rtol=1e-5)
    assert entry.statistics == weight_statistics(stem.weight.detach())
    assert entry.next is None and entry.problem is None


def test_a_layer_without_a_bias_has_none():
    (entry,) = alone(TINY, "block.conv1").weights
    assert entry.bias is None and entry.kernels is not None


def test_globs_are_expanded_in_execution_order_and_what_has_no_weights_says_so():
    entries = {entry.layer: entry for entry in alone(TINY, ["block*", "head", "head"]).weights}
    assert list(entries) == [
        "block.conv1",
        "block.bn1",
        "block.conv2",
        "block.bn2",
        "block.relu",
        "block",
        "head",
    ]
    assert entries["block.bn1"].shape == (8,) and entries["head"].shape == (6, 12)
    for name, hint in (("block.relu", None), ("block", "'block.*'")):
        found = entries[name].problem
        assert (found.type, found.where) == ("unsupported", "weights") and name in found.message
        assert found.hint is None if hint is None else hint in found.hint
        assert entries[name].statistics is None and entries[name].kernels is None


def test_parameters_of_another_name_are_named():
    (entry,) = alone(open_session(seeded(TellingNet)), "scale").weights
    assert entry.problem.type == "unsupported" and "value" in entry.problem.hint


def test_every_call_of_a_module_has_the_same_weights():
    class Twice(PooledNet):
        def features(self, x):
            return self.act(super().features(x))

    session = open_session(seeded(Twice))
    first, last = alone(session, ["act#0", "act"]).weights
    assert (first.layer, last.layer) == ("act#0", "act")
    assert first.problem.type == last.problem.type == "unsupported"


def test_weights_that_are_not_finite_are_a_problem_of_their_entry():
    net = seeded(PooledNet)
    session = open_session(net)
    net.conv.weight.data[0, 0, 0, 0] = math.nan
    net.head.bias.data[1] = math.inf
    conv, head = alone(session, ["conv", "head"]).weights
    assert conv.problem.type == head.problem.type == "unsupported"
    assert conv.statistics is None and head.kernels is None


@pytest.mark.parametrize(
    ("channels", "expected"),
    [("all", range(12)), (5, range(5)), (500, range(12)), ([7, 0, 7], [7, 0, 7])],
)
def test_channels_choose_kernels_and_statistics_are_of_all(channels, expected):
    (entry,) = alone(TINY, {"layers": ["last"], "channels": channels}).weights
    weight = TINY.model.module.last.weight.detach()
    assert entry.channels == tuple(expected)
    np.testing.assert_array_equal(entry.kernels, weight[list(expected)].numpy())
    assert entry.statistics.count == weight.numel() and len(entry.kernel_norms) == 12
    assert entry.shape == (12, 8, 3, 3)


def test_without_kernels_the_numbers_come_alone():
    for entry in alone(TINY, {"layers": ["*"], "kernels": False}).weights:
        assert entry.kernels is None and entry.channels == () and entry.next is None
        assert (entry.statistics is None) == (entry.problem is not None)


# Without an image, and with one.


def test_weights_alone_need_no_image_and_no_pass():
    with counted(TINY) as passes:
        answer = alone(TINY, "*", id="mine")
    assert passes.predicted == passes.forwards == []
    assert (answer.input, answer.predictions, answer.id) == (None, (), "mine")
    assert answer.activations == answer.attributions == ()
    assert (answer.cost.forwards, answer.cost.backwards) == (0, 0)
    *early, last = TINY.open_stream(read_request({"weights": "stem", "stream": True}, None))
    assert early == [] and last["frame"] == "document"


def test_with_an_image_they_stand_beside_everything_else():
    answer = document(TINY, weights="stem", explain="grad_cam", activations="block")
    plain = document(TINY, explain="grad_cam", activations="block")
    assert answer.weights[0].kernels is not None
    assert_same(replace(answer, weights=None), plain)
    assert document(TINY, weights="stem").cost.forwards == 1


@pytest.mark.parametrize(
    "more", [{"explain": "saliency"}, {"activations": "stem"}, {"top_k": 3}, {"explain": True}]
)
def test_what_needs_an_image_beside_them_still_does(more):
    (found,) = TINY.run([read_request({"weights": "stem", **more}, None)])
    assert (found.type, found.code) == ("no_image", 400)


def test_rows_with_and_without_an_image_share_a_batch():
    rows = [
        request(photo(1)),
        read_request({"weights": "last"}, None),
        request(photo(2), weights="stem", explain="saliency"),
        read_request({}, None),
    ]
    together = TINY.run(rows)
    assert isinstance(together[3], Problem)
    for answer, row in zip(together, rows, strict=True):
        assert_same(answer, TINY.run([row])[0])


@pytest.mark.parametrize(
    ("weights", "type", "where", "hint"),
    [
        ("stm", "unknown_layer", "weights", "'stem'"),
        (["stem", "block.relu#2"], "unknown_layer", "weights[1]", "#1"),
        ({"layers": ["stem", "lost"]}, "unknown_layer", "weights.layers[1]", "'last'"),
        ({"layers": ["stem"], "channels": [8]}, "bad_value", "weights.channels", "0 to 7"),
        ({"layers": ["*"], "channels": [10]}, "bad_value", "weights.channels", "0 to 7"),
    ],
)
def test_what_the_model_does_not_have_is_refused_with_its_place(weights, type, where, hint):
    found = problem(TINY, weights=weights)
    assert (found.type, found.code, found.where) == (type, 400, where)
    assert hint in found.hint


# Pages.


class WideNet(PooledNet):
    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(6, 64, 3)
        self.head = nn.Linear(64, 4)

    def features(self, x):
        return self.wide(super().features(x))


WIDE = open_session(seeded(WideNet))


def answer(limit: int, asked) -> Document | Problem:
    WIDE.limits = replace(WIDE.limits, response_bytes=limit)
    try:
        return WIDE.run([asked])[0]
    finally:
        WIDE.limits = Limits()


def encoded(found: Document, asked) -> bytes:
    packing = pack_npz if asked.format == "npz" else pack_json
    packed = packing(found, asked.dtype)
    document = packed[0] if asked.format == "npz" else packed
    document["cost"]["ms"]["encode"] = 12345.678
    return write_npz(*packed) if asked.format == "npz" else write_json(packed)


@pytest.mark.parametrize("format", ["json", "npz"])
@pytest.mark.parametrize("dtype", ["auto", "float32"])
@pytest.mark.parametrize("limit", [17_000, 24_000, 10**6])
def test_following_the_pages_gives_every_kernel_once(limit, format, dtype):
    waiting, got = [{"layers": ["conv", "wide", "head"]}], {}
    while waiting:
        asked = read_request(
            {"weights": waiting.pop(0), "format": format, "dtype": dtype, "explain": False}, None
        )
        found = answer(limit, asked)
        assert isinstance(found, Document), found
        assert len(encoded(found, asked)) <= limit
        for entry in found.weights:
            assert len(entry.channels) == len(entry.kernels)
            for channel, kernel in zip(entry.channels, entry.kernels, strict=True):
                assert (entry.layer, channel) not in got, "no kernel twice"
                got[entry.layer, channel] = kernel
            if entry.next is not None:
                channels = list(entry.next.channels)
                waiting.append({"layers": [entry.layer], "channels": channels})
    for name in ("conv", "wide", "head"):
        weight = WIDE.model.module.get_submodule(name).weight.detach().numpy()
        for channel, kernel in enumerate(weight):
            np.testing.assert_array_equal(got.pop((name, channel)), kernel)
    assert got == {}


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(0, 60_000),
    format=st.sampled_from(["json", "npz"]),
    kernels=st.booleans(),
    activations=st.sampled_from([False, "conv"]),
)
def test_whatever_the_budget_an_answer_is_within_it_or_says_that_it_cannot_be(
    limit, format, kernels, activations
):
    weights = {"layers": ["*"], "kernels": kernels}
    asked = request(photo(), weights=weights, activations=activations, format=format)
    found = answer(limit, asked)
    if isinstance(found, Problem):
        assert (found.type, found.code) == ("response_too_large", 413)
    else:
        assert len(encoded(found, asked)) <= limit
