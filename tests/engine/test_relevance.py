"""DeepLift and LRP on unrolled models, against the papers' rules worked out by hand."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from captum.attr import DeepLift
from careless_nets import CarefulNet, CarelessNet
from engine_fixtures.oracles import assert_close
from engine_fixtures.sessions import seeded
from odd_nets import InPlaceNet, PooledNet, SoftmaxFunctionNet
from summing_nets import ResidualNet, UnbiasedNet
from tiny_net import TinyNet
from torch import nn

from servelens.engine.folder.card import OutputSpec
from servelens.engine.head import Head
from servelens.engine.relevance import deep_lift, lrp, weights_of
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
