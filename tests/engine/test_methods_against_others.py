"""Every attribution method against Captum, closed forms or a formula written out slowly."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
import torch
from captum import attr
from captum.attr._utils.custom_modules import Addition_Module
from careless_nets import CarefulNet, CarelessNet
from engine_fixtures.one_map import LAYER, PHOTO, TARGET, answer, linear, ours, tiny
from engine_fixtures.oracles import assert_close, model_input, untouched
from engine_fixtures.photos import encode, patches
from engine_fixtures.sessions import SMALL, open_session, seeded
from torch import nn
from torch.nn import functional

from servelens.engine.drawings import see_segments
from servelens.engine.geometry import view_photo
from servelens.engine.kit import Source
from servelens.engine.kit.baselines import baseline_of
from servelens.engine.series.cells import cells_of
from servelens.engine.series.noise import drawn as normal
from servelens.protocol import Drawing

# Captum says so each time.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Setting forward, backward hooks:UserWarning"),
]


def captums(kind: str, *about: str, per_channel: bool = False, **how: Any) -> np.ndarray:
    """In float64, on a copy whose rectifiers are modules of their own and work beside."""
    module = untouched(tiny().model.module)
    image = model_input(tiny(), PHOTO).double()
    method = getattr(attr, kind)(module, *(module.get_submodule(name) for name in about))
    given = method.attribute(image, target=TARGET, **how)[0].detach().numpy()
    return given if per_channel else given.sum(0)


@pytest.mark.parametrize(
    ("ours_name", "theirs_name"),
    [
        ("input_x_gradient", "InputXGradient"),
        ("guided_backprop", "GuidedBackprop"),
        ("deconvolution", "Deconvolution"),
    ],
)
def test_input_maps_of_one_pass_are_captums(ours_name: str, theirs_name: str) -> None:
    module = ModuleNet()
    session = open_session(seeded(ModuleNet))
    module.load_state_dict(session.model.module.state_dict())
    image = model_input(session, PHOTO).double().requires_grad_(True)
    theirs = getattr(attr, theirs_name)(untouched(module)).attribute(image, target=TARGET)
    assert_close(ours(session, ours_name), theirs[0].sum(0).detach().numpy())
    assert_close(ours(session, ours_name, per_channel=True), theirs[0].detach().numpy())


class ModuleNet(nn.Module):
    """Each rectifier a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3, stride=2)
        self.relu1, self.relu2, self.head = nn.ReLU(), nn.ReLU(), nn.Linear(8, 4)

    def rectify(self, x: torch.Tensor, relu: nn.Module) -> torch.Tensor:
        return relu(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.rectify(self.first(x), self.relu1)
        x = self.rectify(self.second(x), self.relu2)
        return self.head(x.mean((2, 3)))


class FunctionalNet(ModuleNet):
    def rectify(self, x: torch.Tensor, relu: nn.Module) -> torch.Tensor:
        return functional.relu(x, inplace=True) if relu is self.relu1 else x.relu()


@pytest.mark.parametrize("method", ["guided_backprop", "deconvolution", "saliency"])
def test_functional_rectifiers_follow_the_rules_as_modules_do(method: str) -> None:
    with_modules, with_functions = (
        open_session(seeded(ModuleNet)),
        open_session(seeded(FunctionalNet)),
    )
    np.testing.assert_array_equal(ours(with_functions, method), ours(with_modules, method))


def test_the_rules_differ_and_a_model_without_rectifiers_is_told() -> None:
    session = open_session(seeded(ModuleNet))
    assert not np.allclose(ours(session, "guided_backprop"), ours(session, "deconvolution"))
    found = answer(linear(), "guided_backprop")
    assert found.map is None and "none runs in this model" in found.problem.message


def test_guided_grad_cam_is_captums() -> None:
    session = open_session(seeded(ModuleNet))
    module = untouched(session.model.module)
    image = model_input(session, PHOTO).double().requires_grad_(True)
    theirs = attr.GuidedGradCam(module, module.second).attribute(image, target=TARGET)
    found = ours(session, "guided_grad_cam", layer="second")
    assert_close(found, theirs[0].sum(0).detach().numpy())


@pytest.mark.parametrize("quadrature", ["gausslegendre", "riemann_trapezoid", "riemann_right"])
@pytest.mark.parametrize("baseline", ["black", "white", "blur", "random"])
def test_integrated_gradients_are_captums(quadrature: str, baseline: str) -> None:
    image = model_input(tiny(), PHOTO)
    source = Source(image[0], tiny().card.input, seed=0)
    theirs = captums(
        "IntegratedGradients",
        baselines=baseline_of(baseline, source)[None].double(),
        n_steps=13,
        method=quadrature,
    )
    how = {"steps": 13, "quadrature": quadrature, "baseline": baseline}
    assert_close(ours(tiny(), "integrated_gradients", **how), theirs)


def test_integrated_gradients_say_how_far_they_fail_to_add_up() -> None:
    found = answer(tiny(), "integrated_gradients", steps=200)
    module, image = untouched(tiny().model.module), model_input(tiny(), PHOTO).double()
    change = (module(image) - module(torch.zeros_like(image)))[0, TARGET].item()
    assert found.map.sum() - change == pytest.approx(found.convergence_delta, abs=1e-5)
    assert abs(found.convergence_delta) < 0.05 * abs(change)


class ReusedNet(nn.Module):
    """One rectifier in place for both calls, a plus and functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, stride=2), nn.Conv2d(6, 6, 3, padding=1)
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.first(x))
        x = functional.max_pool2d(self.relu(self.second(x) + x), 3)
        return self.head(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))


class RewrittenNet(ReusedNet):
    """The same by hand, each call a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.relu2, self.plus = nn.ReLU(), nn.ReLU(), Addition_Module()
        self.pool, self.mean = nn.MaxPool2d(3), nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.first(x))
        # Captum's hook on what a pool reads runs too late for a rectifier that gave it.
        x = self.pool(self.relu2(self.plus(self.second(x), x)).clone())
        return self.head(torch.flatten(self.mean(x), 1))


@pytest.mark.parametrize(
    ("ours_name", "theirs_name", "how"),
    [("deep_lift", "DeepLift", {}), ("lrp", "LRP", {"epsilon": 0.0})],
)
@pytest.mark.parametrize("kind", [ReusedNet, RewrittenNet])
def test_relevance_is_captums_of_the_model_rewritten_for_it(
    kind: type[nn.Module], ours_name: str, theirs_name: str, how: dict[str, Any]
) -> None:
    session, rewritten = open_session(seeded(kind)), RewrittenNet()
    rewritten.load_state_dict(session.model.module.state_dict())
    image = model_input(session, PHOTO).double().requires_grad_(True)
    method = getattr(attr, theirs_name)(untouched(rewritten))
    theirs, delta = method.attribute(image, target=TARGET, return_convergence_delta=True)
    found = answer(session, ours_name, **how)
    assert found.signed
    assert_close(found.map, theirs[0].sum(0).detach().numpy())
    assert_close(ours(session, ours_name, per_channel=True, **how), theirs[0].detach().numpy())
    # Captum tells what an LRP map misses, all else by how much a map is too large.
    expected = delta.item() * (-1 if ours_name == "lrp" else 1)
    rounding = 1e-5 * float(np.abs(found.map).sum())
    assert found.convergence_delta == pytest.approx(expected, abs=rounding)


def test_deep_lift_of_a_careless_model_is_captums_of_a_careful_one() -> None:
    session = open_session(seeded(CarelessNet))
    image = model_input(session, PHOTO).double().requires_grad_(True)
    careful = CarefulNet(untouched(session.model.module)).eval()
    theirs = attr.DeepLift(careful).attribute(image, target=TARGET)
    assert_close(ours(session, "deep_lift"), theirs[0].sum(0).detach().numpy())


def test_deep_lift_shap_is_captums_over_the_baselines_that_it_draws() -> None:
    session, rewritten = open_session(seeded(ReusedNet)), RewrittenNet()
    rewritten.load_state_dict(session.model.module.state_dict())
    image, noise = model_input(session, PHOTO), 0.2
    source = Source(image[0], session.card.input, seed=0)
    deviation = noise * (image.max() - image.min())
    white = baseline_of("white", source)
    drawn = torch.stack([white + deviation * normal(0, i, (3, 32, 32)) for i in range(5)])
    theirs = attr.DeepLiftShap(untouched(rewritten)).attribute(
        image.double().requires_grad_(True), drawn.double(), target=TARGET
    )
    found = answer(session, "deep_lift_shap", samples=5, noise=noise, baseline="white")
    assert_close(found.map, theirs[0].sum(0).detach().numpy())
    assert abs(found.convergence_delta) < 1e-5 * np.abs(found.map).sum()


def test_occlusion_and_feature_ablation_are_captums() -> None:
    black = torch.zeros(1, 3, 32, 32).double()
    theirs = captums(
        "Occlusion",
        sliding_window_shapes=(3, 9, 9),
        strides=(3, 4, 4),
        baselines=black,
        per_channel=True,
    )[0]
    assert_close(ours(tiny(), "occlusion", window=9, stride=4), theirs)
    cells = cells_of((3, 32, 32), 5)
    theirs = captums("FeatureAblation", feature_mask=cells, baselines=black, per_channel=True)[0]
    assert_close(ours(tiny(), "feature_ablation", grid=5), theirs, tolerance=2e-5)


def test_feature_ablation_of_drawn_segments_is_captums() -> None:
    segments = patches(count=6)
    drawing = Drawing(encode(segments), "segments")
    seen = see_segments(drawing, view_photo(PHOTO, SMALL, 10**6).ref, SMALL, 10**6)
    black = torch.zeros(1, 3, 32, 32).double()
    mask = torch.from_numpy(seen.of)
    theirs = captums("FeatureAblation", feature_mask=mask, baselines=black, per_channel=True)[0]
    found = ours(tiny(), "feature_ablation", segments=base64.b64encode(drawing.data).decode())
    assert_close(found, theirs)


@pytest.mark.parametrize(
    ("method", "theirs_name", "their_steps"),
    [
        ("layer_conductance", "LayerConductance", 20),
        ("internal_influence", "InternalInfluence", 21),
    ],
)
def test_layer_methods_along_a_path_are_captums(
    method: str, theirs_name: str, their_steps: int
) -> None:
    """Captum's conductance takes one step more than it is asked for."""
    theirs = captums(theirs_name, LAYER, n_steps=their_steps)
    assert_close(ours(tiny(), method, layer=LAYER, steps=21), theirs)


@pytest.mark.parametrize("quadrature", ["gausslegendre", "riemann_trapezoid"])
@pytest.mark.parametrize("baseline", ["black", "white", "blur"])
@pytest.mark.parametrize("layer", ["stem", "block.conv1", "block", "last"])
def test_layer_integrated_gradients_are_captums(layer: str, baseline: str, quadrature: str) -> None:
    source = Source(model_input(tiny(), PHOTO)[0], tiny().card.input, seed=0)
    theirs = captums(
        "LayerIntegratedGradients",
        layer,
        baselines=baseline_of(baseline, source)[None].double(),
        n_steps=13,
        method=quadrature,
    )
    how = {"steps": 13, "quadrature": quadrature, "baseline": baseline, "layer": layer}
    assert_close(ours(tiny(), "layer_integrated_gradients", **how), theirs)


@pytest.mark.parametrize("layer", ["block.conv1", "block.relu#0", "block", "last"])
def test_layer_integrated_gradients_add_up_to_what_the_layer_does(layer: str) -> None:
    """Also where the score has ways around the layer."""
    found = answer(tiny(), "layer_integrated_gradients", layer=layer, steps=200)
    module, image = untouched(tiny().model.module), model_input(tiny(), PHOTO).double()
    name, _, call = layer.partition("#")
    given: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        given.append(output)

    def put(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        given.append(output)
        return for_black if len(given) == calls else output

    handle = module.get_submodule(name).register_forward_hook(keep)
    module(torch.zeros_like(image))
    handle.remove()
    calls = int(call) + 1 if call else len(given)
    for_black = given[calls - 1]
    whole = module(image)[0, TARGET].item()
    given.clear()
    module.get_submodule(name).register_forward_hook(put)
    change = whole - module(image)[0, TARGET].item()
    assert change != 0
    assert found.map.sum() - change == pytest.approx(found.convergence_delta, abs=1e-5)
    assert abs(found.convergence_delta) < 1e-3 * np.abs(found.map).sum()


def test_layer_gradient_x_activation_is_captums() -> None:
    found = ours(tiny(), "layer_gradient_x_activation", layer=LAYER)
    assert_close(found, captums("LayerGradientXActivation", LAYER))
