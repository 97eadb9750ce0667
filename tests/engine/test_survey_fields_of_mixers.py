"""Receptive fields of what mixes places: pooling over all, gates, attention."""

from __future__ import annotations

import pytest
import torch
from engine_fixtures.fields import Lambda, NoGrid, field_of
from torch import Tensor, nn
from torch.nn import functional

from servelens.engine.survey import ReceptiveField, survey


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(functional.adaptive_avg_pool2d(x, 1))


class Broadcast(nn.Module):
    """One unit that a convolution of the map's own size makes, added everywhere."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, size)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class NonLocal(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        seen = torch.bmm(flat, torch.softmax(torch.bmm(flat.transpose(1, 2), flat), -1))
        return x + seen.view_as(x)


@pytest.mark.parametrize(
    "module",
    [
        Gate(),
        Broadcast(2, 31),
        NonLocal(),
        nn.InstanceNorm2d(2),
        nn.GroupNorm(1, 2),
        nn.BatchNorm2d(2, track_running_stats=False),
        Lambda(lambda x: x - x.mean((2, 3), keepdim=True)),
        Lambda(lambda x: x / x.flatten(1).norm(dim=1)[:, None, None, None]),
        Lambda(lambda x: torch.softmax(x, dim=3)),
    ],
)
def test_what_mixes_the_whole_map_is_said_to_and_keeps_its_places(module: nn.Module) -> None:
    body = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), module)
    assert field_of(body) == ReceptiveField((3, 3), (2, 2), (1, 1), whole=True)


ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.Hardshrink,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.Mish,
    nn.PReLU,
    nn.RReLU,
    nn.ReLU,
    nn.ReLU6,
    nn.SELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Softplus,
    nn.Softshrink,
    nn.Softsign,
    nn.Tanh,
    nn.Dropout,
    nn.Dropout2d,
    nn.Identity,
    nn.Softmax2d,
)
IN_PLACE = (nn.ReLU6, nn.SiLU, nn.Hardswish, nn.LeakyReLU)


@pytest.mark.parametrize(
    "module",
    [
        *(kind() for kind in ACTIVATIONS),
        *(kind(inplace=True) for kind in IN_PLACE),
        nn.BatchNorm2d(4),
        nn.LocalResponseNorm(3),
        nn.ChannelShuffle(2),
        nn.GLU(dim=1),
        nn.Threshold(0.1, 0.0),
        nn.Sequential(
            Lambda(lambda x: x.movedim(1, 3)), nn.LayerNorm(4), Lambda(lambda x: x.movedim(3, 1))
        ),
        Lambda(lambda x: x.softmax(1)),
        Lambda(lambda x: functional.dropout(x, training=True)),
        Lambda(lambda x: functional.normalize(x, dim=1)),
        Lambda(lambda x: torch.where(x > 0.5, x, x**2).clamp(0, 1)),
        Lambda(lambda x: x.clone().masked_fill_(x > 0.5, 0.0)),
        Lambda(lambda x: x.flip(1).roll(1, 1)[:, [2, 0]]),
        Lambda(lambda x: x.repeat(1, 2, 1, 1).index_select(1, torch.tensor([1, 5]))),
        Lambda(lambda x: x.median(1, keepdim=True)[0] + x.std(1, keepdim=True)),
        Lambda(lambda x: x.unflatten(1, (2, 2)).amax(1)),
        Lambda(lambda x: torch.einsum("nchw,dc->ndhw", x, torch.ones(3, 4))),
        Lambda(lambda x: torch.stack([x, 2 * x], 2).sum(2)),
    ],
    ids=str,
)
def test_what_works_on_each_place_alone_is_local(module: nn.Module) -> None:
    field = field_of(nn.Sequential(module), channels=4)
    assert field == ReceptiveField((1, 1), (1, 1), (0, 0), whole=False)


def test_products_of_all_places_with_all_places_see_the_whole_image() -> None:
    gram = Lambda(lambda x: torch.bmm(x.flatten(2).transpose(1, 2), x.flatten(2))[:, None])
    field = field_of(nn.Sequential(nn.Conv2d(1, 2, 3), gram), (10, 12))
    assert field == ReceptiveField((10, 12), (10, 12), (4.5, 5.5), whole=True)


class Attention(nn.Module):
    """Each place asks all others, in one operation (with heads) or in several (without)."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        if self.heads:
            tokens = tokens.contiguous().unflatten(2, (self.heads, -1)).transpose(1, 2)
        seen = functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return x + seen.transpose(-1, -2).reshape(x.shape)


class Dynamic(nn.Module):
    """A convolution whose weights come from the image: from its mean, or from a corner of it."""

    def __init__(self, local: bool) -> None:
        super().__init__()
        self.local = local

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True).expand(1, -1, 5, 5)
        return functional.conv2d(x, x[:, :, :5, :5] if self.local else mean)


@pytest.mark.parametrize("heads", [0, 2])
def test_attention_between_places_sees_the_whole_image(heads: int) -> None:
    field = field_of(nn.Sequential(nn.Conv2d(1, 4, 3), Attention(heads)), (16, 16))
    assert field == ReceptiveField((3, 3), (1, 1), (1, 1), whole=True)


def test_weights_that_come_from_the_whole_image_make_a_convolution_see_it() -> None:
    assert field_of(Dynamic(local=False)) == ReceptiveField((5, 5), (1, 1), (2, 2), whole=True)
    network = NoGrid(Dynamic(local=True))
    assert survey(network, torch.rand(1, 1, 64, 64)).layers[0].receptive_field is None


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_memory_format_changes_no_field(memory_format: torch.memory_format) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), Gate(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).to(memory_format=memory_format)
    image = torch.rand(2, 3, 32, 32).to(memory_format=memory_format)
    fields = [layer.receptive_field for layer in survey(network, image).layers]
    everything = ReceptiveField((32, 32), (32, 32), (15.5, 15.5), whole=True)
    assert fields == [
        ReceptiveField((3, 3), (1, 1), (1, 1), whole=False),
        ReceptiveField((4, 4), (2, 2), (1.5, 1.5), whole=False),
        ReceptiveField((4, 4), (2, 2), (1.5, 1.5), whole=True),
        everything,
        everything,
    ]
