"""The model that DeepLift and LRP walk through: equal, and spelled out."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from careless_nets import CarelessNet
from engine_fixtures.sessions import seeded
from engine_fixtures.watches import state_of
from odd_nets import (
    AliasNet,
    BatchStatisticsNet,
    GatedNet,
    InPlaceNet,
    LogSoftmaxNet,
    PooledNet,
    SigmoidInPlaceNet,
    SigmoidModuleNet,
    SoftmaxFunctionNet,
    SoftmaxModuleNet,
    StochasticNet,
    TellingNet,
)
from tiny_net import TinyNet
from torch import nn
from torchvision.models import resnet18

from servelens.engine.head import Head, HeadTap
from servelens.engine.unrolled import NotUnrolledError, unroll

EXAMPLE = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
BATCH = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(7))

BOTH = pytest.mark.parametrize("for_lrp", [False, True], ids=["deep_lift", "lrp"])


def unrolled(module: nn.Module, *, for_lrp: bool, head: str = "logits") -> nn.Module:
    return unroll(module, Head(head, 4), EXAMPLE, for_lrp=for_lrp)


class ModuleCalls(nn.Module):
    """Every module that has a rule of its own for one of the two methods."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.BatchNorm2d(8),
            nn.ReLU6(inplace=True),
            nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),
            nn.Identity(),
            nn.Conv2d(8, 8, 1),
            nn.ChannelShuffle(2),
            nn.Hardswish(inplace=True),
            nn.ZeroPad2d(1),
            nn.AvgPool2d(2),
            nn.Dropout2d(),
            nn.SiLU(inplace=True),
            nn.PReLU(8),
            nn.AdaptiveMaxPool2d(2),
            nn.Flatten(),
            nn.LayerNorm(32),
            nn.GELU(),
            nn.Linear(32, 4),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


class FunctionCalls(ModuleCalls):
    """The same and more, said with functions and methods."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body[0](1 + x * 0.5)
        left, right = x.chunk(2, dim=1)
        x = torch.cat((F.leaky_relu(left, 0.1, True), right.relu()), dim=1)
        gate = F.hardsigmoid(x.mean((2, 3), keepdim=True))
        x = F.max_pool2d(F.relu6(x * gate), 3, stride=2, padding=1)
        x = F.layer_norm(x.permute(0, 2, 3, 1), (8,)).permute(0, 3, 1, 2)
        x = F.dropout(torch.relu_(self.body[6](x)), training=self.training)
        x = F.avg_pool2d(F.gelu(x), x.shape[2:])
        x = torch.add(x, x.tanh()).sub(0.25)
        return self.body[-1](x.view(x.size(0), -1).repeat(1, 4).tanh_())


@pytest.mark.parametrize(
    ("kind", "for_lrp"),
    [
        *itertools.product(
            [PooledNet, TinyNet, InPlaceNet, CarelessNet, ModuleCalls], (True, False)
        ),
        (FunctionCalls, False),
    ],
)
def test_the_answers_are_the_models_own(kind, for_lrp):
    model = seeded(kind)
    with torch.no_grad():
        expected = model(BATCH.clone())
        given = unrolled(model, for_lrp=for_lrp)(BATCH)
    assert (given - expected).abs().max() <= 1e-5 * expected.abs().max()


@BOTH
@pytest.mark.parametrize(
    ("kind", "head"),
    [
        (SoftmaxModuleNet, "softmax"),
        (SoftmaxFunctionNet, "softmax"),
        (LogSoftmaxNet, "log_softmax"),
        (SigmoidModuleNet, "sigmoid"),
        (SigmoidInPlaceNet, "sigmoid"),
    ],
)
def test_it_gives_the_logits_whatever_the_model_ends_in(kind, head, for_lrp):
    model = seeded(kind)
    with torch.no_grad(), HeadTap(head) as tap:
        expected = tap.logits(model(BATCH))
    assert torch.allclose(unrolled(model, for_lrp=for_lrp, head=head)(BATCH), expected, atol=1e-6)


@BOTH
def test_a_head_that_the_code_does_not_have_is_named(for_lrp):
    with pytest.raises(NotUnrolledError, match="the softmax .* cannot be found"):
        unrolled(seeded(PooledNet), for_lrp=for_lrp, head="softmax")


@BOTH
@pytest.mark.parametrize("kind", [TinyNet, InPlaceNet, CarelessNet, ModuleCalls])
def test_each_call_is_a_module_of_its_own_and_nothing_is_in_place(kind, for_lrp):
    model = unrolled(seeded(kind), for_lrp=for_lrp)
    calls = Counter(node.target for node in model.graph.nodes if node.op == "call_module")
    assert set(calls.values()) == {1}
    assert not any(getattr(module, "inplace", False) for module in model.modules())
    assert not any(isinstance(m, nn.Identity | nn.Dropout | nn.Dropout2d) for m in model.modules())
    with torch.no_grad():
        seen = BATCH.clone()
        model(seen)
    assert torch.equal(seen, BATCH)


@pytest.mark.parametrize("kind", [TinyNet, InPlaceNet, CarelessNet])
def test_for_lrp_norms_are_folded_and_all_that_computes_is_a_module(kind):
    model = unrolled(seeded(kind), for_lrp=True)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    functions = {
        getattr(node.target, "__name__", node.target)
        for node in model.graph.nodes
        if node.op in ("call_function", "call_method")
    }
    assert functions <= {"flatten"}


@BOTH
def test_copies_of_one_module_share_its_weights(for_lrp):
    model = unrolled(seeded(CarelessNet), for_lrp=for_lrp)
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 6]
    assert len(weights) == 3 and all(weight is weights[0] for weight in weights)


@BOTH
@pytest.mark.parametrize("kind", [TinyNet, InPlaceNet, CarelessNet, AliasNet, TellingNet])
def test_the_model_itself_is_never_changed(kind, for_lrp):
    module = seeded(kind)
    for index, (inner, parameter) in enumerate(zip(module.modules(), module.parameters())):  # noqa: B905
        inner.training = index % 2 == 0
        parameter.requires_grad_(index % 2 == 0)
    before, printed = state_of(module), repr(module)
    try:
        model = unrolled(module, for_lrp=for_lrp)
        model.train().requires_grad_(True)
        for buffer in model.buffers():
            buffer.fill_(7)
    except NotUnrolledError:
        assert kind in (AliasNet, TellingNet)
    assert state_of(module) == before
    assert repr(module) == printed


@BOTH
@pytest.mark.parametrize("kind", [CarelessNet, ModuleCalls])
def test_weights_that_are_the_modules_take_no_memory_of_their_own(kind, for_lrp):
    module = seeded(kind)
    own = {parameter.data_ptr() for parameter in module.parameters()}
    model = unrolled(module, for_lrp=for_lrp)
    apart = {name for name, p in model.named_parameters() if p.data_ptr() not in own}
    folded = {
        CarelessNet: {"first.weight", "first.bias"},
        # Its norm comes after a rectifier, and becomes a linear layer of its own.
        ModuleCalls: {"body_2_call.weight", "body_2_call.bias"},
    }
    assert apart == (folded[kind] if for_lrp else set())


class TwoSignals(PooledNet):
    def features(self, x):
        x = super().features(x)
        return x * (x + 1)


class Divided(PooledNet):
    def features(self, x):
        return 1 / (1 + super().features(x))


@pytest.mark.parametrize(
    ("kind", "for_lrp", "why"),
    [
        (AliasNet, False, r"answers differently, by 0\.\d of the largest logit; .*in place"),
        (StochasticNet, False, r"answers differently, .* random numbers"),
        (TellingNet, False, "torch.fx cannot follow the model's code .*'len'"),
        (TellingNet, True, "torch.fx cannot follow the model's code .*'len'"),
        (GatedNet, True, "LRP has no rule for a call of amax"),
        (FunctionCalls, True, "LRP has no rule for a call of repeat"),
        (BatchStatisticsNet, True, "LRP has no rule for a norm whose rows influence each other"),
        (StochasticNet, True, "LRP has no rule for a call of dropout"),
        (TwoSignals, True, "LRP has no rule for a product of two tensors of which none is a gate"),
        (Divided, True, "LRP has no rule for a call of truediv"),
    ],
)
def test_what_cannot_be_rewritten_is_refused_with_its_reason(kind, for_lrp, why):
    with pytest.raises(NotUnrolledError, match=why):
        unrolled(seeded(kind), for_lrp=for_lrp)


@BOTH
def test_a_resnet_is_unrolled(for_lrp):
    model = seeded(resnet18)
    example = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    rewritten = unroll(model, Head("logits", 1000), example, for_lrp=for_lrp)
    batch = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model(batch)
        assert (rewritten(batch) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_modes_and_random_numbers_neither_matter_nor_change(mode):
    module = seeded(CarelessNet)
    with mode():
        before = state_of(module)
        model = unrolled(module, for_lrp=True)
        assert state_of(module) == before
    assert not any(parameter.is_inference() for parameter in model.parameters())
