"""DeepLift and LRP leave a model as it was, and say where they do not add up."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torchvision
from careless_nets import CarelessNet
from engine_fixtures.sessions import seeded
from engine_fixtures.watches import state_of
from odd_nets import BatchStatisticsNet, GatedNet, InPlaceNet
from summing_nets import ResidualNet, UnbiasedNet
from tiny_net import TinyNet
from torch import nn

from servelens.engine.head import Head
from servelens.engine.relevance import deep_lift, lrp
from servelens.engine.soundness import judge_deep_lift, judge_lrp
from servelens.engine.unrolled import unroll


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


BATCH, BASELINES = noise(3, 3, 8, 8, seed=1), noise(3, 3, 8, 8, seed=2) / 2
WEIGHTS = torch.tensor([[0, 1, 0, 0], [0, 0, 0, 1], [-1, 0, 1, 0]])


def unrolled(module: nn.Module, *, for_lrp: bool, size: int = 8, head: str = "logits") -> nn.Module:
    return unroll(module.double(), Head(head, 4), noise(1, 3, size, size), for_lrp=for_lrp)


# Everything is put back.


class Raises(nn.Module):
    """Fails in its n-th call."""

    def __init__(self, inner: nn.Module, calls: int) -> None:
        super().__init__()
        self.inner, self.left = inner, calls

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if self.left < 0:
            raise ArithmeticError("a bad day")
        return self.inner(x)


def attributes(model: nn.Module) -> dict[str, set[str]]:
    return {name: set(vars(module)) for name, module in model.named_modules()}


def run_any(model: nn.Module, method: str) -> Any:
    if method == "lrp":
        return lrp(model, BATCH, WEIGHTS)
    return deep_lift(model, BATCH, BASELINES, WEIGHTS)


@pytest.mark.parametrize(
    ("method", "calls", "fails"),
    [
        ("deep_lift", 0, True),
        ("deep_lift", 1, False),
        ("lrp", 0, True),
        ("lrp", 1, True),
        ("lrp", 2, False),
    ],
)
def test_the_model_is_as_before_also_after_an_error_inside_it(method, calls, fails):
    model = unrolled(seeded(CarelessNet), for_lrp=method == "lrp")
    model.head = Raises(model.head, calls)
    before, names = state_of(model), attributes(model)
    raised = False
    try:
        run_any(model, method)
    except ArithmeticError:
        raised = True
    assert raised == fails
    assert state_of(model) == before
    assert attributes(model) == names


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("method", ["deep_lift", "lrp"])
def test_the_callers_mode_and_batch_neither_matter_nor_change(method, mode):
    model = unrolled(seeded(CarelessNet), for_lrp=method == "lrp")
    expected, batch = run_any(model, method), BATCH.clone()
    with mode():
        found = run_any(model, method)
    assert torch.equal(found.values, expected.values)
    assert not found.values.requires_grad and not found.delta.requires_grad
    assert torch.equal(batch, BATCH) and not BATCH.requires_grad


# What the preflight says.


@pytest.mark.parametrize("kind", [ResidualNet, TinyNet, InPlaceNet, CarelessNet, UnbiasedNet])
def test_sound_models_are_found_sound(kind):
    net = seeded(kind)
    assert judge_deep_lift(unrolled(net, for_lrp=False).float(), noise(1, 3, 8, 8).float()) is None
    assert judge_lrp(unrolled(net, for_lrp=True).float(), noise(1, 3, 8, 8).float()) is None


@pytest.mark.parametrize("kind", [GatedNet, BatchStatisticsNet])
def test_a_model_that_deep_lift_does_not_add_up_on_is_told(kind):
    reason = judge_deep_lift(unrolled(seeded(kind), for_lrp=False), noise(1, 3, 8, 8))
    assert reason is not None
    assert reason.startswith("deep_lift does not add up on this model: the relevance of a test")


class Square(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * x


class Untold(nn.Module):
    """Adds what nobody is told of: a bias under another name."""

    def __init__(self) -> None:
        super().__init__()
        self.secret = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.secret


class Infinite(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 0


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Square(), r"does not add up on this model: .* misses the score by 0\.88 times as much"),
        (Untold(), "does not add up on this model: .* misses the score by"),
        (Infinite(), "does not add up on this model: .* by inf times"),
        (Raises(nn.Identity(), 2), "fails on this model: ArithmeticError: a bad day"),
    ],
    ids=["square", "untold", "infinite", "raises"],
)
def test_a_model_that_lrp_does_not_add_up_on_is_told(layer, reason):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 2, 3), layer, nn.Flatten(), nn.Linear(72, 4))
    given = judge_lrp(net.double().requires_grad_(False), noise(1, 3, 8, 8))
    assert given is not None
    assert re.match(f"lrp {reason}", given)


FAMILIES = [
    "resnet18",
    "vgg16",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "densenet121",
    "inception_v3",
    "googlenet",
    "efficientnet_b0",
    "convnext_tiny",
    "shufflenet_v2_x1_0",
    "regnet_y_400mf",
    "squeezenet1_1",
]


def lively(name: str, size: int) -> nn.Module:
    """With biases, and norms that have seen noise: an untrained network's logits would hardly
    depend on its input, and nothing could be told from their changes."""
    quietly = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = torchvision.models.get_model(name, **quietly).eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train().momentum = 1.0
            if isinstance(getattr(module, "bias", None), torch.Tensor):
                nn.init.normal_(module.bias, std=0.1)
        with torch.no_grad():
            model(torch.randn(4, 3, size, size))
    return model.eval()


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) for n in FAMILIES])
def test_both_methods_add_up_on_torchvisions_families(name):
    """In float64, for through so many layers of noise float32 itself is off by 1e-5."""
    size = 160 if name == "inception_v3" else 96
    model, example = lively(name, size).double(), noise(1, 3, size, size)
    head = Head("logits", 1000)
    assert judge_deep_lift(unroll(model, head, example, for_lrp=False), example) is None
    assert judge_lrp(unroll(model, head, example, for_lrp=True), example) is None
