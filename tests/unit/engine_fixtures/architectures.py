"""Architectures that people serve, with random weights, few classes and a small picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
import torchvision.models
from torch import nn

from engine_fixtures.sessions import open_session, seeded
from servelens.engine.folder.card import InputSpec
from servelens.engine.session import Session


@dataclass(frozen=True)
class Architecture:
    """Layers that give a map which nothing later changes in place: the last one, one amid the
    others, and an early one of few channels."""

    last: str
    amid: str
    early: str
    side: int = 64
    keys: Mapping[str, Any] = field(default_factory=dict)


ARCHITECTURES = {
    "resnet18": Architecture("layer4", "layer2", "layer1"),
    "vgg16": Architecture("features.29", "features.16", "features.4"),
    "mobilenet_v3_small": Architecture("features.12", "features.4", "features.0"),
    "densenet121": Architecture("features.denseblock4", "features.denseblock2", "features.pool0"),
    "inception_v3": Architecture(
        "Mixed_7c",
        "Mixed_6b",
        "Conv2d_2a_3x3",
        side=107,
        keys={"init_weights": False, "aux_logits": False},
    ),
    "efficientnet_b0": Architecture("features.8", "features.4", "features.1"),
    "convnext_tiny": Architecture("features.7", "features.4", "features.1"),
}


@cache
def architecture_session(name: str, *, classes: int = 10, channels: int = 3) -> Session:
    about = ARCHITECTURES[name]
    module = seeded(getattr(torchvision.models, name), num_classes=classes, **about.keys)
    if channels == 1:
        _make_grey(module)
    _settle(module, torch.Size((8, channels, about.side, about.side)))
    spec = InputSpec(
        size=(about.side, about.side),
        resize=about.side,
        channels=channels,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
    return open_session(module, input=spec)


def _settle(module: nn.Module, size: torch.Size) -> None:
    """Norms take their statistics from pictures, and blocks count for something beside what passes
    them by, as in trained models: else the deeper layers would hardly notice what they are shown,
    and answers would differ by rounding alone."""
    for name, parameter in module.named_parameters():
        if name.endswith("layer_scale"):
            nn.init.ones_(parameter)
    norms = [inner for inner in module.modules() if isinstance(inner, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        module.train(bool(norms))(torch.rand(size))
    module.eval()


def _make_grey(module: nn.Module) -> None:
    """Its first convolution sums the colours, which are all the grey one."""
    first = next(inner for inner in module.modules() if isinstance(inner, nn.Conv2d))
    first.weight = nn.Parameter(first.weight.detach().sum(dim=1, keepdim=True))
    first.in_channels = 1
