"""DeepLift and LRP on unrolled models, against the papers' rules worked out by hand."""

from __future__ import annotations

import math
import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torchvision
from captum.attr import DeepLift
from careless_nets import CarefulNet, CarelessNet
from engine_fixtures.oracles import assert_close
from engine_fixtures.sessions import seeded
from engine_fixtures.watches import state_of
from odd_nets import BatchStatisticsNet, GatedNet, InPlaceNet, PooledNet, SoftmaxFunctionNet
from tiny_net import TinyNet
from torch import nn

from servelens.engine.folder.card import OutputSpec
from servelens.engine.head import Head
from servelens.engine.relevance import deep_lift, lrp, weights_of
from servelens.engine.soundness import judge_deep_lift, judge_lrp
from servelens.engine.targets import Chosen, Classes
from servelens.engine.unrolled import unroll

BOTH = pytest.mark.parametrize("for_lrp", [False, True], ids=["deep_lift", "lrp"])


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


BATCH, BASELINES = noise(3, 3, 8, 8, seed=1), noise(3, 3, 8, 8, seed=2) / 2
# A class, another one, and a class against another.
TARGETS = (Chosen(1), Chosen(3), Chosen(2, versus=0))
WEIGHTS = torch.tensor([[0, 1, 0, 0], [0, 0, 0, 1], [-1, 0, 1, 0]])


def unrolled(module: nn.Module, *, for_lrp: bool, size: int = 8, head: str = "logits") -> nn.Module:
    return unroll(module.double(), Head(head, 4), noise(1, 3, size, size), for_lrp=for_lrp)


def scores(module: nn.Module, batch: torch.Tensor, weights: torch.Tensor = WEIGHTS) -> torch.Tensor:
    return (module(batch) * weights).sum(dim=1)


# The rules by hand, in matrices.


class ResidualNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.first(x))
        x = F.relu(self.second(x) + x)
        return self.head(torch.flatten(x, 1))


def matrix(layer: nn.Module, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """A linear layer's weights and biases, from what it makes of each unit alone."""
    with torch.no_grad():
        shift = layer(torch.zeros(1, *shape).double()).flatten()
        units = torch.eye(int(np.prod(shape))).double().view(-1, *shape)
        return (layer(units).flatten(1) - shift).numpy().T, shift.numpy()


class ByHand:
    """The residual network's parts, as matrices, and what flows between them."""

    def __init__(self, net: ResidualNet) -> None:
        self.w1, self.b1 = matrix(net.first, 3, 8, 8)
        self.w2, self.b2 = matrix(net.second, 4, 4, 4)
        self.w3, self.b3 = matrix(net.head, 64)

    def flow(self, image: np.ndarray) -> dict[str, np.ndarray]:
        flow: dict[str, Any] = {"x": image.reshape(-1)}
        flow["z1"] = self.w1 @ flow["x"] + self.b1
        flow["a1"] = np.maximum(flow["z1"], 0)
        flow["z2"] = self.w2 @ flow["a1"] + self.b2
        flow["sum"] = flow["z2"] + flow["a1"]
        flow["a2"] = np.maximum(flow["sum"], 0)
        flow["logits"] = self.w3 @ flow["a2"] + self.b3
        return flow

    def rescale_rule(self, image: np.ndarray, baseline: np.ndarray, w: np.ndarray) -> np.ndarray:
        own, other = self.flow(image), self.flow(baseline)
        change = {name: own[name] - other[name] for name in own}
        at_a2 = self.w3.T @ w
        at_sum = at_a2 * change["a2"] / change["sum"]
        at_a1 = at_sum + self.w2.T @ at_sum
        at_z1 = at_a1 * change["a1"] / change["z1"]
        return (self.w1.T @ at_z1) * change["x"]

    def epsilon_rule(self, image: np.ndarray, w: np.ndarray, share: float) -> np.ndarray:
        flow = self.flow(image)

        def back(
            w: np.ndarray, inputs: np.ndarray, outputs: np.ndarray, relevance: np.ndarray
        ) -> np.ndarray:
            """R_i = Σ_j x_i w_ji / (z_j + ε sign z_j) R_j, place by place, with ε a share of the
            root of the mean of z²."""
            found = np.zeros_like(inputs)
            epsilon = 1e-9 + share * math.sqrt(sum(z * z for z in outputs) / len(outputs))
            for j, z in enumerate(outputs):
                found += inputs * w[j] / (z + epsilon * (1 if z >= 0 else -1)) * relevance[j]
            return found

        one = np.eye(len(flow["a1"]))
        of_logits = flow["logits"] * w
        of_sum = back(self.w3, flow["a2"], flow["logits"], of_logits)
        of_z2 = back(one, flow["z2"], flow["sum"], of_sum)
        of_a1 = back(one, flow["a1"], flow["sum"], of_sum)
        of_a1 = of_a1 + back(self.w2, flow["a1"], flow["z2"], of_z2)
        return back(self.w1, flow["x"], flow["z1"], of_a1)


def test_deep_lift_is_the_rescale_rule_worked_out_by_hand():
    net = seeded(ResidualNet).double()
    found = deep_lift(unrolled(net, for_lrp=False), BATCH, BASELINES, WEIGHTS)
    by_hand = ByHand(net)
    for row, weights in enumerate(WEIGHTS.numpy()):
        expected = by_hand.rescale_rule(BATCH[row].numpy(), BASELINES[row].numpy(), weights)
        assert_close(found.values[row].flatten().numpy(), expected, tolerance=1e-9)


@pytest.mark.parametrize("epsilon", [0.0, 0.25])
def test_lrp_is_the_epsilon_rule_worked_out_by_hand(epsilon):
    net = seeded(ResidualNet).double()
    found = lrp(unrolled(net, for_lrp=True), BATCH, WEIGHTS, epsilon=epsilon)
    by_hand = ByHand(net)
    for row, weights in enumerate(WEIGHTS.numpy()):
        expected = by_hand.epsilon_rule(BATCH[row].numpy(), weights, epsilon)
        # The score is divided by itself once, and Captum stabilises that division too.
        score = float(by_hand.flow(BATCH[row].numpy())["logits"] @ weights)
        expected = expected * abs(score) / (abs(score) + 1e-9)
        assert_close(found.values[row].flatten().numpy(), expected, tolerance=1e-7)
        missing = expected.sum() - score
        assert found.delta[row].item() == pytest.approx(missing, rel=1e-6)


# Against Captum where it can be trusted, and theorems.


def test_deep_lift_is_captums_own_where_the_model_is_written_for_it():
    net = seeded(CarelessNet).double()
    careful = CarefulNet(net).eval()
    for row, target in ((0, 1), (1, 3)):
        image, baseline = BATCH[row : row + 1], BASELINES[row : row + 1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = DeepLift(careful).attribute(image, baseline, target=target)
        found = deep_lift(
            unrolled(net, for_lrp=False), image, baseline, WEIGHTS[row : row + 1]
        ).values
        assert_close(found.numpy(), expected.detach().numpy(), tolerance=1e-9)


@pytest.mark.parametrize("kind", [ResidualNet, TinyNet, InPlaceNet, CarelessNet])
def test_lrp_of_rectifiers_is_input_times_gradient(kind):
    """Without an epsilon (Ancona et al., 2018), biases or not."""
    net = seeded(kind).double()
    weights = F.pad(WEIGHTS, (0, net.head.out_features - 4))
    found = lrp(unrolled(net, for_lrp=True), BATCH, weights)
    source = BATCH.clone().requires_grad_(True)
    scores(net, source.clone(), weights).sum().backward()
    assert_close(found.values.numpy(), (source * source.grad).detach().numpy(), tolerance=1e-6)


def test_without_biases_lrp_hands_out_the_whole_score():
    found = lrp(unrolled(seeded(UnbiasedNet), for_lrp=True), BATCH, WEIGHTS)
    with torch.no_grad():
        expected = scores(seeded(UnbiasedNet).double(), BATCH)
    assert torch.allclose(found.values.flatten(1).sum(dim=1), expected, rtol=1e-5)
    assert found.delta.abs().max() <= 1e-5 * expected.abs().max()


class UnbiasedNet(nn.Module):
    """A gate, three activations and a norm, all of which hand relevance on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.act = nn.ModuleList([nn.SiLU(), nn.Hardswish(), nn.GELU()])
        self.gate = nn.Conv2d(8, 8, 1)
        self.mix = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(3))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        for act, mix in zip(self.act, self.mix, strict=True):
            x = mix(act(x)) + x
        x = torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True))) * x
        return self.head(self.norm(x.mean((2, 3))))


# Each rule adds up.


class Elementwise(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.flatten(self.function(x), 1)


class Gate(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(x.mean((2, 3), keepdim=True))
        return torch.flatten(gate * x, 1)


class Siblings(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(x)
        return torch.flatten(torch.relu(x) * 2 + torch.sigmoid(x) - x, 1)


ELEMENTWISE = [
    *(nn.ReLU(), nn.ReLU6(), nn.SiLU(), nn.GELU(), nn.Hardswish(), nn.Hardsigmoid(), nn.Mish()),
    *(nn.LeakyReLU(0.3), nn.ELU(), nn.Hardtanh(), nn.Softplus(), nn.PReLU(init=0.2), nn.Tanh()),
    *(F.relu, F.relu6, F.silu, F.gelu, torch.sigmoid, torch.exp, torch.square),
    *(lambda x: x.clamp(-0.5, 0.5), lambda x: x * x, lambda x: F.leaky_relu(x, 0.3, True)),
]


@pytest.mark.parametrize("function", ELEMENTWISE, ids=lambda f: getattr(f, "__name__", str(f)))
def test_deep_lift_of_a_function_of_one_number_is_how_much_it_changed(function):
    net = Elementwise(function).double()
    x, baseline = 3 * noise(2, 3, 2, 2, seed=3), noise(2, 3, 2, 2, seed=4)
    x[:, 0] = baseline[:, 0]  # where nothing changes, the plain slope must do no harm
    with torch.no_grad():
        expected = (net(x.clone()) - net(baseline.clone())).view(x.shape)
    found = deep_lift(unrolled(net, for_lrp=False, size=2), x, baseline, torch.ones(2, 12))
    assert_close(found.values.numpy(), expected.numpy(), tolerance=1e-9)


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, stride=1),
        nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
        nn.MaxPool2d(2, dilation=3),
        nn.AdaptiveMaxPool2d(3),
        nn.LayerNorm((3, 8, 8)),
        nn.Sequential(nn.MaxPool2d(3, 1), nn.MaxPool2d(3, 1)),
        Elementwise(lambda x: F.max_pool2d(x, kernel_size=3, stride=1)),
        Elementwise(lambda x: F.layer_norm(x, (8,))),
        Gate(),
        nn.Sequential(nn.LeakyReLU(0.5), nn.Sigmoid(), nn.Softplus(), nn.ReLU(), nn.MaxPool2d(2)),
        Siblings(),
    ],
    ids=str,
)
def test_deep_lift_adds_up_through(layer):
    net = nn.Sequential(layer, nn.Flatten()).double()
    outputs = net(BATCH).shape[1]
    weights = noise(3, outputs, seed=5)
    found = deep_lift(unrolled(net, for_lrp=False), BATCH, BASELINES, weights)
    with torch.no_grad():
        change = scores(net, BATCH, weights) - scores(net, BASELINES, weights)
    assert torch.allclose(found.values.flatten(1).sum(dim=1), change, rtol=1e-9)
    assert found.delta.abs().max() <= 1e-9 * change.abs().max()


def test_a_maximum_gives_what_it_rose_by_to_where_it_is():
    """Captum's rule, on windows of one row that overlap, which Captum itself gets wrong."""
    net = nn.Sequential(nn.MaxPool2d((1, 3), stride=1), nn.Flatten()).double()
    x = torch.tensor([[[[1.0, 5.0, 0.0, 2.0]]]]).double()
    baseline = torch.tensor([[[[3.0, 0.0, 1.0, 0.0]]]]).double()
    model = unroll(net, Head("logits", 2), x, for_lrp=False)
    found = deep_lift(model, x, baseline, torch.tensor([[1.0, 1.0]]))
    # 5 for 3 in the first window, 5 for 1 in the second; both maxima of x are the same place.
    assert found.values.flatten().tolist() == pytest.approx([0, 2 + 4, 0, 0])


# Rows, targets, baselines.


@BOTH
def test_rows_do_not_influence_each_other(for_lrp):
    model = unrolled(seeded(CarelessNet), for_lrp=for_lrp)

    def run(rows: slice) -> torch.Tensor:
        if for_lrp:
            return lrp(model, BATCH[rows], WEIGHTS[rows]).values
        return deep_lift(model, BATCH[rows], BASELINES[rows], WEIGHTS[rows]).values

    together = run(slice(None))
    for row in range(3):
        alone = run(slice(row, row + 1))
        assert_close(together[row : row + 1].numpy(), alone.numpy(), tolerance=1e-9)


@BOTH
def test_class_against_class_is_the_difference_of_both(for_lrp):
    model, image = unrolled(seeded(CarelessNet), for_lrp=for_lrp), BATCH[:1]

    def run(weights: list[float]) -> np.ndarray:
        asked = torch.tensor([weights])
        found = (
            lrp(model, image, asked) if for_lrp else deep_lift(model, image, BASELINES[:1], asked)
        )
        return found.values.numpy()

    expected = run([0, 0, 1, 0]) - run([1, 0, 0, 0])
    assert_close(run([-1, 0, 1, 0]), expected, tolerance=1e-6)


def test_one_baseline_serves_all_rows():
    model = unrolled(seeded(CarelessNet), for_lrp=False)
    one = deep_lift(model, BATCH, BASELINES[:1], WEIGHTS).values
    repeated = deep_lift(model, BATCH, BASELINES[:1].repeat(3, 1, 1, 1), WEIGHTS).values
    assert torch.equal(one, repeated)


def test_targets_become_weights_of_the_outputs():
    classes = Classes(Head("logits", 4), OutputSpec())
    assert torch.equal(weights_of(TARGETS, classes), WEIGHTS.float())
    single = Classes(Head("sigmoid", 1), OutputSpec())
    targets = (Chosen(1), Chosen(0), Chosen(1, versus=0))
    assert weights_of(targets, single).tolist() == [[1.0], [-1.0], [2.0]]


def test_what_is_explained_is_the_logit():
    plain = unrolled(seeded(PooledNet), for_lrp=False)
    squashed = unrolled(seeded(SoftmaxFunctionNet), for_lrp=False, head="softmax")
    answers = [deep_lift(m, BATCH, BASELINES, WEIGHTS).values for m in (plain, squashed)]
    assert torch.equal(*answers)


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
    size = 160 if name == "inception_v3" else 96
    model, example = lively(name, size), torch.randn(1, 3, size, size)
    head = Head("logits", 1000)
    assert judge_deep_lift(unroll(model, head, example, for_lrp=False), example) is None
    if name != "inception_v3":  # so many layers of noise that float32 itself is off by 1e-5
        assert judge_lrp(unroll(model, head, example, for_lrp=True), example) is None
