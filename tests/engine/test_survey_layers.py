"""Layers, edges, changes in place and stages of networks that can be checked by reading them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode

from servelens.engine.survey import Layer, Survey, survey


@pytest.fixture(scope="module")
def resnet18() -> Survey:
    return survey(torchvision.models.resnet18(), torch.rand(1, 3, 64, 64))


def layer(found: Survey, name: str) -> Layer:
    return next(layer for layer in found.layers if layer.name == name)


# ----------------------------------------------------------------------------------- layers


def test_layers_come_in_the_order_in_which_their_last_calls_end(resnet18: Survey) -> None:
    assert [layer.name for layer in resnet18.layers][:11] == [
        "conv1", "bn1", "relu", "maxpool", "layer1.0.conv1", "layer1.0.bn1", "layer1.0.conv2",
        "layer1.0.bn2", "layer1.0.relu", "layer1.0", "layer1.1.conv1",
    ]  # fmt: skip
    assert [layer.name for layer in resnet18.layers][-3:] == ["layer4", "avgpool", "fc"]


def test_a_layer_is_described_as_its_last_call_left_it(resnet18: Survey) -> None:
    relu = layer(resnet18, "layer1.0.relu")
    assert (relu.type, relu.calls, relu.leaf, relu.parameters) == ("ReLU", 2, True, 0)
    assert (relu.stride, relu.kernel) == (None, None)
    stem = layer(resnet18, "conv1")
    assert (stem.calls, stem.shape, stem.stride, stem.kernel) == (1, (64, 32, 32), (2, 2), (7, 7))
    assert stem.parameters == 64 * 3 * 7 * 7
    pool = layer(resnet18, "maxpool")
    assert (pool.shape, pool.stride, pool.kernel) == ((64, 16, 16), (2, 2), (3, 3))
    block = layer(resnet18, "layer2.0")
    assert (block.leaf, block.shape, block.type) == (False, (128, 8, 8), "BasicBlock")
    model = torchvision.models.resnet18()
    assert block.parameters == sum(p.numel() for p in model.layer2[0].parameters())
    assert all(layer.differentiable for layer in resnet18.layers)


def test_every_module_that_runs_has_one_layer_and_no_other_has(resnet18: Survey) -> None:
    names = [layer.name for layer in resnet18.layers]
    modules = [name for name, _ in torchvision.models.resnet18().named_modules() if name]
    assert sorted(names) == sorted(modules)

    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x).mean((2, 3))

    assert [x.name for x in survey(Halves(), torch.rand(1, 3, 8, 8)).layers] == ["used"]


def test_a_layer_that_gives_no_single_tensor_has_no_shape() -> None:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, 2 * x

    class Takes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair, self.indices = Pair(), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            one, other = self.pair(x)
            self.indices(other.argmax(1))
            return (one + other).mean((2, 3))

    found = survey(Takes(), torch.rand(1, 3, 8, 8))
    pair, indices = found.layers
    assert (pair.shape, pair.receptive_field, pair.differentiable) == (None, None, False)
    assert (indices.shape, indices.differentiable) == ((8, 8), False)


# ------------------------------------------------------------------------------------ edges


def test_both_ways_through_a_residual_block_lead_to_what_uses_their_sum(resnet18: Survey) -> None:
    into = {name: {a for a, b in resnet18.edges if b == name} for _, name in resnet18.edges}
    assert into["layer1.0.relu"] == {"layer1.0.bn2", "maxpool"}
    assert into["layer1.1.relu"] == {"layer1.1.bn2", "layer1.0.relu"}
    assert into["layer2.0.relu"] == {"layer2.0.bn2", "layer2.0.downsample.1"}
    assert into["layer2.0.downsample.0"] == {"layer1.1.relu"}
    assert into["fc"] == {"avgpool"}


def test_an_earlier_call_of_a_module_is_a_node_of_its_own(resnet18: Survey) -> None:
    assert ("layer1.0.bn1", "layer1.0.relu#0") in resnet18.edges
    assert ("layer1.0.relu#0", "layer1.0.conv2") in resnet18.edges


def test_edges_make_no_circle(resnet18: Survey) -> None:
    places: dict[str, int] = {}
    for origin, end in resnet18.edges:
        places.setdefault(origin, len(places))
        places.setdefault(end, len(places))
    assert all(places[origin] < places[end] for origin, end in resnet18.edges)


def test_what_happens_between_modules_is_followed_through() -> None:
    class Between(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)
            self.c, self.d = nn.Conv2d(5, 2, 1), nn.Linear(2, 2)
            self.drop = nn.Dropout()

        def forward(self, x: Tensor) -> Tensor:
            joined = torch.cat(
                [functional.relu_(self.a(x)), self.b(x), torch.ones_like(x[:, :1])], 1
            )
            kept = self.drop(joined)
            written = torch.zeros_like(joined)
            written[:, :2] = kept[:, :2].sqrt()
            out = self.c(joined + written)
            out += 1
            return self.d(out.amax((2, 3)))

    found = survey(Between(), torch.rand(1, 3, 8, 8))
    assert set(found.edges) == {
        ("a", "drop"), ("b", "drop"), ("a", "c"), ("b", "c"), ("drop", "c"), ("c", "d"),
    }  # fmt: skip


def test_a_shape_that_is_taken_from_a_tensor_makes_no_edge() -> None:
    class Shaped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(3, 3, 1) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            a, b = self.a(x), self.b(x)
            noise = self.c(torch.zeros_like(a) + a.new_ones(1, 3, 8, 8))
            return (b + noise).mean((2, 3))

    assert survey(Shaped(), torch.rand(1, 3, 8, 8)).edges == ()


def test_a_layer_that_hands_its_input_on_does_not_become_its_source() -> None:
    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.shortcut, self.conv = (
                nn.Conv2d(3, 3, 1),
                nn.Sequential(),
                nn.Conv2d(3, 3, 1),
            )
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            kept = self.shortcut(x)
            return self.relu(self.conv(x) + kept).mean((2, 3))

    assert set(survey(Shortcut(), torch.rand(1, 3, 8, 8)).edges) == {
        ("stem", "shortcut"), ("stem", "conv"), ("conv", "relu"), ("shortcut", "relu"),
    }  # fmt: skip


# --------------------------------------------------------------------------------- in place


def changed_by_comparison(model: nn.Module, image: Tensor) -> set[str]:
    """The slow way: a copy of what each call gave, compared with the same tensor at the end."""
    model.eval()
    kept: list[tuple[str, Tensor, Tensor]] = []
    handles = [
        module.register_forward_hook(
            lambda m, i, out, name=name: kept.append((name, out, out.clone()))
        )
        for name, module in model.named_modules()
        if name
    ]
    with torch.no_grad():
        model(image)
    for handle in handles:
        handle.remove()
    return {name for name, now, then in kept if not torch.equal(now, then)}


@pytest.mark.parametrize(
    "builder", ["vgg16", "resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"]
)
def test_outputs_that_are_overwritten_later_are_known(builder: str) -> None:
    torch.manual_seed(0)
    model = torchvision.models.get_model(builder)
    image = torch.randn(1, 3, 64, 64)
    found = {x.name for x in survey(model, image).layers if x.changed_in_place}
    assert found == changed_by_comparison(model, image) != set()


def test_vgg16_convolutions_are_overwritten_and_its_rectifiers_are_not() -> None:
    layers = survey(torchvision.models.vgg16(), torch.rand(1, 3, 32, 32)).layers
    by_type = {
        kind: {x.changed_in_place for x in layers if x.type == kind} for kind in ("Conv2d", "ReLU")
    }
    assert by_type == {"Conv2d": {True}, "ReLU": {False}}


def test_a_change_through_a_view_is_seen() -> None:
    class ThroughView(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x)
            x[:, 0].flatten(1)[:, :3].zero_()
            return self.b(x).mean((2, 3))

    changed = [x.changed_in_place for x in survey(ThroughView(), torch.rand(1, 3, 8, 8)).layers]
    assert changed == [True, False]


# ------------------------------------------------------------------------- nothing is left


@contextmanager
def left_as_it_was(model: nn.Module) -> Iterator[None]:
    def state() -> list[object]:
        return [
            (name, module.training, len(module._forward_hooks), len(module._forward_pre_hooks))
            for name, module in model.named_modules()
        ] + [p.requires_grad for p in model.parameters()]

    before, values = state(), {k: v.clone() for k, v in model.state_dict().items()}
    random, grad = torch.get_rng_state(), torch.is_grad_enabled()
    yield
    assert state() == before
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.is_grad_enabled() == grad
    assert all(torch.equal(v, values[k]) for k, v in model.state_dict().items())
    assert _get_current_dispatch_mode() is None
    assert _get_current_function_mode_stack() == []


class Fragile(nn.Module):
    """Trains some parts and not others, throws dice, and can be told to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
        self.linear = nn.Linear(4, 2)
        self.body[1].eval()
        self.linear.bias.requires_grad_(False)
        self.fails = False

    def forward(self, x: Tensor) -> Tensor:
        x = functional.dropout(self.body(x), training=True)
        if self.fails:
            raise ArithmeticError("the model's own")
        return self.linear(x.mean((2, 3)))


@pytest.mark.parametrize("grad", [True, False])
def test_a_survey_leaves_the_model_and_the_world_as_they_were(grad: bool) -> None:
    model, image = Fragile(), torch.rand(2, 3, 8, 8)
    before = image.clone()
    with torch.set_grad_enabled(grad), left_as_it_was(model):
        survey(model, image)
    assert torch.equal(image, before)


def test_a_failing_model_is_left_as_it_was_and_its_error_goes_on() -> None:
    model, image = Fragile(), torch.rand(2, 3, 8, 8)
    model.fails = True
    with left_as_it_was(model), pytest.raises(ArithmeticError, match="the model's own"):
        survey(model, image)


def test_a_survey_is_one_forward_pass_in_eval_mode_without_a_graph() -> None:
    passes: list[tuple[bool, bool]] = []

    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            passes.append((self.training, torch.is_grad_enabled()))
            return self.linear(x.mean((2, 3)))

    survey(Counted(), torch.rand(1, 3, 8, 8))
    assert passes == [(False, False)]


def test_an_example_that_was_made_in_inference_mode_can_be_surveyed() -> None:
    model = torchvision.models.resnet18()
    with torch.inference_mode():
        found = survey(model, torch.rand(1, 3, 64, 64))
    assert found.default_layer == "layer4"
    assert layer(found, "bn1").changed_in_place


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_part_is_followed_through_without_hooks() -> None:
    part = torch.jit.trace(nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()), torch.rand(1, 4, 14, 14))
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), part, nn.Conv2d(4, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    found = survey(model, torch.rand(1, 3, 16, 16))
    assert found.hookable
    assert [x.name for x in found.layers] == ["0", "2", "3", "4"]
    assert ("0", "2") in found.edges
    field = layer(found, "2").receptive_field
    assert field is not None
    assert field.size == (7, 7)


def test_an_error_that_the_model_catches_does_not_confuse_the_survey() -> None:
    class GivesUp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wrong = nn.Conv2d(5, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            try:
                return self.wrong(x)
            except RuntimeError:
                return x

    network = nn.Sequential(nn.Conv2d(3, 2, 1), GivesUp(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = survey(network, torch.rand(1, 3, 8, 8))
    assert [(x.name, x.leaf) for x in found.layers] == [
        ("0", True),
        ("1", False),
        ("2", True),
        ("3", True),
    ]
    assert found.edges == (("0", "2"), ("2", "3"))


def test_after_an_error_that_the_model_catches_other_modules_are_seen() -> None:
    class Tries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wrong, self.right = nn.Conv2d(5, 2, 1), nn.Sequential(nn.Conv2d(3, 2, 1))

        def forward(self, x: Tensor) -> Tensor:
            try:
                return self.wrong(x).mean((2, 3))
            except RuntimeError:
                return self.right(x).mean((2, 3))

    found = survey(nn.Sequential(Tries()), torch.rand(1, 3, 8, 8))
    assert [(x.name, x.leaf) for x in found.layers] == [
        ("0.right.0", True),
        ("0.right", False),
        ("0", False),
    ]
