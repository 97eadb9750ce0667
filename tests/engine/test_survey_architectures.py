"""The layers that are shown first, and receptive fields, of torchvision's families."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from servelens.engine.survey import ReceptiveField, Survey, survey

# Twenty real architectures.
pytestmark = pytest.mark.slow

RESNET = ("relu", "layer1", "layer2", "layer3", "layer4")


def features(*children: int | str) -> tuple[str, ...]:
    return (*(f"features.{child}" for child in children), "features")


@dataclass(frozen=True)
class Known:
    """`whole` where the network has squeeze-and-excitation gates."""

    layer: str
    layers: tuple[str, ...]
    whole: bool = False
    size: int = 224


KNOWN = {
    "resnet18": Known("layer4", RESNET),
    "resnet34": Known("layer4", RESNET),
    "resnet50": Known("layer4", RESNET),
    "alexnet": Known("features", features(1, 4, 11)),
    "vgg16": Known("features", features(3, 8, 15, 22, 29)),
    "vgg19": Known("features", features(3, 8, 17, 26, 35)),
    "inception_v3": Known(
        "Mixed_7c",
        ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c"),
        size=299,
    ),
    "googlenet": Known(
        "inception5b", ("conv1", "conv3", "inception3b", "inception4e", "inception5b")
    ),
    "mobilenet_v2": Known("features", features(1, 3, 6, 13)),
    "mobilenet_v3_small": Known("features", features(0, 1, 3, 8), whole=True),
    "mobilenet_v3_large": Known("features", features(1, 3, 6, 12), whole=True),
    "efficientnet_b0": Known("features", features(1, 2, 3, 5), whole=True),
    "efficientnet_b2": Known("features", features(1, 2, 3, 5), whole=True, size=288),
    "efficientnet_b3": Known("features", features(1, 2, 3, 5), whole=True, size=300),
    "densenet121": Known(
        "features", features("relu0", "denseblock1", "denseblock2", "denseblock3")
    ),
    "convnext_tiny": Known("features", features(1, 3, 5)),
    "shufflenet_v2_x1_0": Known("conv5", ("conv1", "maxpool", "stage2", "stage3", "conv5")),
    "regnet_y_400mf": Known(
        "trunk_output",
        ("stem", *(f"trunk_output.block{i}" for i in (1, 2, 3)), "trunk_output"),
        whole=True,
    ),
    "squeezenet1_1": Known(
        "classifier.2", ("features.1", "features.4", "features.7", "classifier.2")
    ),
}
# Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill
# 2019, of the networks that are the same in torchvision.
PUBLISHED = {"alexnet": 195, "vgg16": 212, "inception_v3": 1311}


def each(*quick: str) -> pytest.MarkDecorator:
    """A test of every family; all but the quick ones are slow."""
    slow = {name: () if name in quick else pytest.mark.slow for name in KNOWN}
    return pytest.mark.parametrize("name", [pytest.param(n, marks=m) for n, m in slow.items()])


def build(name: str) -> nn.Module:
    quietly = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    torch.manual_seed(0)
    model: nn.Module = torchvision.models.get_model(name, **quietly)
    return model.eval()


def field_of(found: Survey, name: str) -> ReceptiveField:
    field = next(layer.receptive_field for layer in found.layers if layer.name == name)
    assert field is not None
    return field


@each("resnet18", "mobilenet_v3_small", "squeezenet1_1")
def test_a_family_of_torchvision_is_read_rightly(name: str) -> None:
    known = KNOWN[name]
    found = survey(build(name), torch.randn(1, 3, known.size, known.size))
    assert found.default_layer == known.layer
    assert found.default_layers == known.layers
    assert field_of(found, known.layer).whole == known.whole
    assert (found.head.kind, found.head.classes, found.problems) == ("logits", 1000, ())
    assert_consistent(found)


def assert_consistent(found: Survey) -> None:
    names = [layer.name for layer in found.layers]
    assert sorted(name for stage in found.stages.values() for name in stage) == sorted(names)
    leaves = {layer.name for layer in found.layers if layer.leaf}
    assert {end.partition("#")[0] for edge in found.edges for end in edge} == leaves
    # All leaves but the first take from another one, all but the last give to one.
    assert len(leaves - {end for _, end in found.edges}) == 1
    assert len(leaves - {origin.partition("#")[0] for origin, _ in found.edges}) == 1


# -------------------------------------------------------------------------- receptive fields


def without_cancellation(model: nn.Module) -> nn.Module:
    """The same windows with positive weights: a unit's gradient then reaches all that it sees.

    What is global (gates) is left out, and so is what works on each place alone but can have a
    gradient of zero (layer norm, a saturated ReLU6); maximum pooling, whose gradient reaches one
    pixel only, becomes average pooling.
    """
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                window = child.kernel_size, child.stride, child.padding, child.ceil_mode
                setattr(module, name, nn.AvgPool2d(*window))
            elif isinstance(child, nn.LayerNorm | nn.ReLU6 | SqueezeExcitation):
                setattr(module, name, nn.Identity())
    for parameter in model.parameters():
        nn.init.constant_(parameter, 1 / max(1, parameter[0].numel()))
    return model.double()


def seen_rows(model: nn.Module, layer: str, height: int, width: int) -> tuple[int, int, int]:
    """A middle unit's row, and the first and last row of a tall image that it depends on."""
    image = torch.ones(1, 3, height, width, dtype=torch.float64, requires_grad=True)
    kept: list[Tensor] = []
    model.get_submodule(layer).register_forward_hook(lambda m, i, output: kept.append(output))
    model(image.clone())
    row, column = kept[0].shape[2] // 2, kept[0].shape[3] // 2
    (gradient,) = torch.autograd.grad(kept[0][0, :, row, column].sum(), image)
    rows = gradient[0].sum((0, 2)).nonzero()
    return row, int(rows.min()), int(rows.max())


@each("resnet18")
def test_a_middle_unit_depends_on_the_rows_that_its_field_holds(name: str) -> None:
    known = KNOWN[name]
    found = survey(build(name), torch.randn(1, 3, known.size, known.size))
    field = field_of(found, known.layer)
    height, width = field.size[0] + 256, 80
    row, first, last = seen_rows(without_cancellation(build(name)), known.layer, height, width)
    assert 0 < first < last < height - 1, "the image must be taller than the field"
    centre, reach = field.offset[0] + row * field.stride[0], (field.size[0] - 1) / 2
    assert (first, last) == (centre - reach, centre + reach)
    assert field.size[0] == field.size[1]


@pytest.mark.parametrize(
    "name",
    ["alexnet", *(pytest.param(n, marks=pytest.mark.slow) for n in ("vgg16", "inception_v3"))],
)
def test_the_field_is_the_published_one(name: str) -> None:
    known = KNOWN[name]
    found = survey(build(name), torch.randn(1, 3, known.size, known.size))
    assert field_of(found, known.layer).size == (PUBLISHED[name], PUBLISHED[name])


def test_resnet18_has_the_known_field_at_every_stage() -> None:
    found = survey(build("resnet18"), torch.randn(1, 3, 64, 64))
    known = {"conv1": 7, "maxpool": 11, "layer1": 43, "layer2": 99, "layer3": 211, "layer4": 435}
    for name, size in known.items():
        field = field_of(found, name)
        assert (field.size, field.offset, field.whole) == ((size, size), (0, 0), False)


# --------------------------------------------------------------------------------- image sizes


@pytest.mark.parametrize("size", [(96, 160), (65, 79)])
def test_other_image_sizes_change_no_choice(size: tuple[int, int]) -> None:
    found = survey(build("resnet18"), torch.randn(2, 3, *size))
    assert found.default_layer == "layer4"
    assert found.default_layers == RESNET


def test_where_the_last_stage_is_one_unit_the_one_before_it_is_shown() -> None:
    found = survey(build("resnet18"), torch.randn(1, 3, 32, 32))
    assert found.default_layer == "layer3"
    assert found.default_layers == RESNET[:-1]
