"""Packed weights: the same answers, where and as long as they may be used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch
import torchvision.models
from engine_fixtures.photos import photo
from engine_fixtures.sessions import document, open_session, request, seeded
from tiny_net import TinyNet
from torch import nn
from torch.nn import functional

from servelens.engine.folding import TOLERANCE, difference
from servelens.engine.geometry import view_photo
from servelens.engine.head import Head
from servelens.engine.packing import Packed, Packs, pack
from servelens.engine.tape import record

EXAMPLE = torch.randn(1, 4, 12, 12, generator=torch.Generator().manual_seed(3))


class Sized(nn.Module):
    """A convolution of a shape, and one whose kernel is made anew in each call."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen = self.convolution(image)
        kernel = self.scale.expand(seen.shape[1], 1, 3, 3)
        return functional.conv2d(seen, kernel, groups=seen.shape[1]).mean((2, 3))


KINDS: dict[str, dict[str, Any]] = {
    "usual": {"padding": 1},
    "strided": {"stride": 2, "bias": False},
    "grouped": {"groups": 2},
    "depthwise": {"groups": 4},
    "dilated": {"dilation": (1, 2)},
    "reflecting": {"padding": 1, "padding_mode": "reflect"},
    "padded to the same size": {"padding": "same"},
}


@pytest.fixture
def uses() -> Iterator[mock.Mock]:
    """How often packed weights were used; they are as they were."""
    with mock.patch.object(Packed, "answer", autospec=True, side_effect=Packed.answer) as answer:
        yield answer


def sized(**how: Any) -> Sized:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Sized(nn.Conv2d(4, 8, 3, **how)).eval().requires_grad_(False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_any_convolution_answers_the_same(
    kind: str, layout: torch.memory_format, uses: mock.Mock
) -> None:
    net = sized(**KINDS[kind])
    pack(net, EXAMPLE)
    uses.reset_mock()
    for rows in (1, 3):
        batch = EXAMPLE.repeat(rows, 1, 1, 1).contiguous(memory_format=layout)
        with Packs():
            packed = net(batch)
        assert difference(net(batch), packed) <= TOLERANCE
    assert uses.call_count == (0 if kind == "padded to the same size" else 2)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "densenet121", "convnext_tiny"])
def test_what_predicts_is_packed_and_answers_what_the_model_does(
    name: str, uses: mock.Mock
) -> None:
    net = seeded(getattr(torchvision.models, name), num_classes=10)
    session = open_session(net)
    uses.reset_mock()
    (answer,) = session.run([request(top_k=10)])
    assert uses.call_count > 0
    batch = session.model.batch([view_photo(photo(), session.card.input, session.limits.pixels)])
    with torch.inference_mode():
        wanted = session.model.module(batch)[0]
    logits = torch.empty(10)
    for chosen in answer.predictions:
        logits[chosen.index] = chosen.logit
    assert difference(wanted, logits) <= 2 * TOLERANCE  # folded, and packed


def test_a_graph_is_made_by_plain_convolutions(uses: mock.Mock) -> None:
    session = open_session(seeded(TinyNet))
    uses.reset_mock()
    document(session, explain="saliency")
    assert uses.call_count == 0
    document(session, explain={"method": "grad_cam", "layers": ["last"]})
    assert uses.call_count > 0


def assert_plain(net: Sized, uses: mock.Mock) -> None:
    """It uses nothing packed, and answers as it does by itself."""
    uses.reset_mock()
    with Packs():
        answered = net(EXAMPLE)
    assert uses.call_count == 0
    assert torch.equal(answered, net(EXAMPLE))


def test_weights_that_were_changed_are_used_as_they_are(uses: mock.Mock) -> None:
    net = sized()
    pack(net, EXAMPLE)
    net.convolution.weight.mul_(-2)
    assert_plain(net, uses)


def test_a_copy_has_none(uses: mock.Mock) -> None:
    net, other = sized(), sized()
    pack(net, EXAMPLE)
    other.load_state_dict({name: -value for name, value in net.state_dict().items()})
    assert_plain(other, uses)


def test_a_torch_without_the_operators_computes_as_ever(uses: mock.Mock) -> None:
    net = sized()
    with mock.patch.object(Packed, "of", side_effect=AttributeError("no such operator")):
        pack(net, EXAMPLE)
    assert_plain(net, uses)


def test_what_answers_otherwise_is_not_kept(uses: mock.Mock) -> None:
    net = sized()
    uses.side_effect = lambda packed, call: torch.conv2d(*call) * 1.001
    pack(net, EXAMPLE)
    assert_plain(net, uses)


def test_what_is_to_be_exact_uses_none(uses: mock.Mock) -> None:
    net = sized()
    pack(net, EXAMPLE)
    uses.reset_mock()
    tape = record(net, Head("logits", 8), EXAMPLE, exact=True)
    assert uses.call_count == 0
    assert torch.equal(tape.output, net(EXAMPLE))
    record(net, Head("logits", 8), EXAMPLE)
    assert uses.call_count == 1
