"""Receptive fields against three oracles: arithmetic by hand, published numbers, and gradients."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from engine_fixtures.fields import Lambda, NoGrid, field_of
from torch import Tensor, nn
from torch.nn import functional

from servelens.engine.survey import ReceptiveField, survey

MODULES_SEED_COUNT = 60


class Skip(nn.Module):
    """Adds or joins what two ways make of the input."""

    def __init__(self, one: nn.Module, other: nn.Module, join: bool) -> None:
        super().__init__()
        self.one, self.other, self.join = one, other, join

    def forward(self, x: Tensor) -> Tensor:
        one, other = self.one(x), self.other(x)
        return torch.cat([one, other], 1).mean(1, keepdim=True) if self.join else one + other


# ------------------------------------------------------------------------------- closed form


@pytest.mark.parametrize(
    ("modules", "size", "stride", "offset"),
    [
        ([nn.Conv2d(1, 1, 3)], (3, 3), (1, 1), (1, 1)),
        ([nn.Conv2d(1, 1, 3, padding=1)], (3, 3), (1, 1), (0, 0)),
        ([nn.Conv2d(1, 1, 7, stride=2, padding=3)], (7, 7), (2, 2), (0, 0)),
        ([nn.Conv2d(1, 1, 3, dilation=4)], (9, 9), (1, 1), (4, 4)),
        ([nn.Conv2d(1, 1, (1, 7), padding=(0, 3))], (1, 7), (1, 1), (0, 0)),
        ([nn.Conv2d(1, 1, 3, padding="same", dilation=2)], (5, 5), (1, 1), (0, 0)),
        ([nn.Conv2d(1, 1, 3), nn.MaxPool2d(2)], (4, 4), (2, 2), (1.5, 1.5)),
        ([nn.MaxPool2d(3, 2, 1, 2), nn.Conv2d(1, 1, 3)], (9, 9), (2, 2), (3, 3)),
        ([nn.AvgPool2d((2, 3)), nn.AvgPool2d(2)], (4, 6), (4, 6), (1.5, 2.5)),
        ([nn.ZeroPad2d((2, 0, 1, 0)), nn.Conv2d(1, 1, 3)], (3, 3), (1, 1), (0, -1)),
        ([nn.AdaptiveAvgPool2d(8)], (8, 8), (8, 8), (3.5, 3.5)),
        ([nn.AdaptiveAvgPool2d(64)], (1, 1), (1, 1), (0, 0)),
        ([nn.PixelUnshuffle(2), nn.Conv2d(4, 1, 3)], (6, 6), (2, 2), (2.5, 2.5)),
        ([Lambda(lambda x: x[:, :, 3:-2, ::2])], (1, 1), (1, 2), (3, 0)),
    ],
)
def test_a_chain_has_the_field_that_arithmetic_gives(
    modules: list[nn.Module],
    size: tuple[int, int],
    stride: tuple[float, float],
    offset: tuple[float, float],
) -> None:
    expected = ReceptiveField(size, stride, offset, whole=False)
    assert field_of(nn.Sequential(*modules)) == expected


def test_a_hand_computed_network_has_its_field_at_every_layer() -> None:
    # size += (k - 1) * stride so far; offset += ((k - 1) / 2 - padding) * stride so far
    network = nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=2),  # 5, stride 2, offset 2
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),  # 7, stride 4, offset 3
        nn.Conv2d(4, 4, 3, padding=1),  # 15, stride 4, offset 3
        nn.Hardswish(inplace=True),
        nn.Conv2d(4, 4, 3, stride=3),  # 23, stride 12, offset 7
    )
    layers = survey(NoGrid(network), torch.rand(2, 3, 96, 96)).layers
    fields = [layer.receptive_field for layer in layers if layer.leaf]
    by_hand = [(5, 2, 2), (5, 2, 2), (5, 2, 2), (7, 4, 3), (15, 4, 3), (15, 4, 3), (23, 12, 7)]
    assert [(f.size[0], f.stride[0], f.offset[0]) for f in fields if f] == by_hand
    assert all(f and f.size[0] == f.size[1] and not f.whole for f in fields)


# ---------------------------------------------------------------------------- gradient support


@dataclass(frozen=True)
class Extent:
    """First and last pixel that a unit depends on, for height and width."""

    first: tuple[int, int]
    last: tuple[int, int]


def support(body: nn.Module, image: Tensor, unit: tuple[int, int]) -> Extent:
    """All weights are positive, so that no two ways from a pixel to the unit cancel out."""
    source = image.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(body(source.clone())[0, :, unit[0], unit[1]].sum(), source)
    rows, columns = gradient[0].sum(0).nonzero(as_tuple=True)
    return Extent((int(rows.min()), int(columns.min())), (int(rows.max()), int(columns.max())))


def box(field: ReceptiveField, unit: tuple[int, int]) -> tuple[list[float], list[float]]:
    centre = [field.offset[axis] + unit[axis] * field.stride[axis] for axis in (0, 1)]
    reach = [(field.size[axis] - 1) / 2 for axis in (0, 1)]
    return [c - r for c, r in zip(centre, reach, strict=True)], [
        c + r for c, r in zip(centre, reach, strict=True)
    ]


def positive(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.constant_(parameter, 1.0)
    return module.double()


def random_body(draw: random.Random) -> nn.Module:
    def pair(values: list[int]) -> tuple[int, int]:
        return draw.choice(values), draw.choice(values)

    def convolution(stride: tuple[int, int]) -> nn.Module:
        kernel, dilation = pair([1, 2, 3, 5]), pair([1, 1, 2, 3])
        padding = pair([0, 1, 2])
        return nn.Conv2d(1, 1, kernel, stride, padding, dilation, bias=False)

    def keeps_size() -> nn.Module:
        reach, dilation = pair([0, 1, 2]), pair([1, 2])
        kernel = (2 * reach[0] + 1, 2 * reach[1] + 1)
        padding = (reach[0] * dilation[0], reach[1] * dilation[1])
        return nn.Conv2d(1, 1, kernel, 1, padding, dilation, bias=False)

    def step() -> nn.Module:
        return draw.choice(
            [
                lambda: convolution(pair([1, 1, 2])),
                lambda: nn.AvgPool2d(pair([1, 2, 3]), pair([1, 2]), ceil_mode=True),
                lambda: Skip(keeps_size(), keeps_size(), join=draw.random() < 0.5),
                lambda: Skip(nn.Identity(), keeps_size(), join=False),
                lambda: nn.Sequential(nn.ReLU(inplace=True), keeps_size()),
                lambda: nn.ZeroPad2d((draw.randrange(3), draw.randrange(3), 1, 0)),
                lambda: Lambda(lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)),
                lambda: Lambda(lambda x: x[..., 1::2, 2:]),
            ]
        )()

    return positive(nn.Sequential(*(step() for _ in range(draw.randint(1, 5)))))


@pytest.mark.parametrize("seed", range(MODULES_SEED_COUNT))
def test_the_box_of_a_middle_unit_is_the_support_of_its_gradient(seed: int) -> None:
    body = random_body(random.Random(seed))
    image = torch.rand(1, 1, 160, 150, dtype=torch.float64) + 0.5
    shape = body(image).shape
    unit = (shape[2] // 2, shape[3] // 2)
    found = survey(NoGrid(body), image)
    field = next(layer.receptive_field for layer in found.layers if layer.name == "body")
    assert field is not None
    seen = support(body, image, unit)
    assert min(seen.first) > 0, "the unit must lie far from the border"
    assert seen.last[0] < 159
    assert seen.last[1] < 149
    assert box(field, unit) == (list(seen.first), list(seen.last))


@pytest.mark.parametrize(
    "body",
    [
        nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.Upsample(scale_factor=2)),
        nn.Sequential(nn.AvgPool2d(4), nn.Upsample(scale_factor=4, mode="bilinear")),
        nn.Sequential(
            nn.AvgPool2d(4), nn.Upsample(scale_factor=3, mode="bilinear", align_corners=True)
        ),
        nn.Sequential(
            nn.AvgPool2d(2), Lambda(lambda x: functional.interpolate(x, (23, 57), mode="nearest"))
        ),
        Lambda(lambda x: functional.interpolate(x, (20, 31), mode="nearest-exact")),
        nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.ConvTranspose2d(1, 1, 4, 2, 1, bias=False)),
        nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.PixelShuffle(2)),
        nn.AdaptiveAvgPool2d((7, 11)),
    ],
)
def test_where_units_differ_the_box_holds_the_support_of_each(body: nn.Module) -> None:
    positive(body)
    image = torch.rand(1, 1, 64, 60, dtype=torch.float64) + 0.5
    found = survey(NoGrid(body), image)
    field = next(layer.receptive_field for layer in found.layers if layer.name == "body")
    assert field is not None
    assert not field.whole
    height, width = body(image).shape[2:]
    widest = 0
    for row in range(0, height, 3):
        unit = (row, (row * 7) % width)
        seen, (first, last) = support(body, image, unit), box(field, unit)
        assert all(f <= s for f, s in zip(first, seen.first, strict=True))
        assert all(s <= e for s, e in zip(seen.last, last, strict=True))
        widest = max(widest, seen.last[0] - seen.first[0] + 1)
    # The envelope is no wider than the phases of the units can make it.
    assert field.size[0] <= 2 * widest + 4


# --------------------------------------------------------------------- permuted and reshaped


def test_a_linear_layer_over_channels_last_keeps_the_field_of_a_convnext_block() -> None:
    block = nn.Sequential(
        nn.Conv2d(8, 8, 7, padding=3, groups=8),
        Lambda(lambda x: x.permute(0, 2, 3, 1)),
        nn.LayerNorm(8),
        nn.Linear(8, 32),
        nn.GELU(),
        nn.Linear(32, 8),
        Lambda(lambda x: x.permute(0, 3, 1, 2)),
    )
    assert field_of(block, channels=8) == ReceptiveField((7, 7), (1, 1), (0, 0), whole=False)


def test_a_channel_shuffle_keeps_the_field() -> None:
    def shuffle(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)

    body = nn.Sequential(nn.Conv2d(6, 6, 3), Lambda(shuffle), Lambda(lambda x: x.chunk(2, 1)[1]))
    assert field_of(body, channels=6) == ReceptiveField((3, 3), (1, 1), (1, 1), whole=False)


def test_a_pooled_vector_sees_the_image_from_its_centre() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)
    )
    fields = {x.name: x.receptive_field for x in survey(network, torch.rand(1, 1, 20, 31)).layers}
    everything = ReceptiveField((20, 31), (20, 31), (9.5, 15), whole=True)
    assert fields["1"] == fields["2"] == fields["3"] == everything


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.roll(x, 3, dims=2),
        lambda x: torch.fft.fft2(x).real,
        lambda x: functional.grid_sample(
            x,
            functional.affine_grid(torch.eye(2, 3)[None], [1, 1, 64, 64], False),
            align_corners=False,
        ),
        lambda x: x[:, :, torch.randperm(64)],
        lambda x: x.flip(3),
        lambda x: x.repeat(1, 1, 2, 1),
        lambda x: x + torch.roll(x, 3, dims=2),
        lambda x: torch.cat([x, torch.roll(x, 3, dims=2)], 1),
    ],
)
def test_an_operation_without_a_rule_is_not_guessed_at(
    function: Callable[[Tensor], Tensor],
) -> None:
    found = survey(NoGrid(Lambda(function)), torch.rand(1, 1, 64, 64))
    assert [layer.receptive_field for layer in found.layers if layer.name == "body"] == [None]


def test_units_that_lie_on_no_grid_have_no_field() -> None:
    found = survey(
        nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(36, 2)), torch.rand(1, 1, 8, 8)
    )
    fields = {layer.name: layer.receptive_field for layer in found.layers}
    assert fields["1"] is None
    assert fields["2"] is not None
    assert fields["2"].whole
