"""A model made ready to answer: the module, its fast twin, and how to read both."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Sequence

import torch
from torch import nn

from servelens.engine.fast import Predictor, Twin, folded
from servelens.engine.folder.card import Card
from servelens.engine.geometry import View, to_input
from servelens.engine.head import Head
from servelens.engine.layers import LayerRef
from servelens.engine.packing import pack
from servelens.engine.prefix import Prefixes
from servelens.engine.targets import Classes
from servelens.engine.unrolling import Unrolled


@dataclass(frozen=True)
class Model:
    """`predictor` answers rows that only predict; `explaining` is what hooks and gradients see,
    `prefixes` what was found out about it."""

    module: nn.Module
    twin: Twin
    predictor: Predictor
    head: Head
    classes: Classes
    card: Card
    device: torch.device
    prefixes: Prefixes = field(default_factory=Prefixes)

    @cached_property
    def unrolled(self) -> Unrolled:
        """The twin again, for methods that go through it by rules of their own."""
        return Unrolled(self.twin.module, self.head, example_input(self.card))

    def explaining(self, layers: Sequence[LayerRef]) -> nn.Module:
        """The twin, or the module where a layer is asked for that the twin has changed."""
        changed = any(layer.module in self.twin.changed for layer in layers)
        return self.module if changed else self.twin.module

    def with_module(self, module: nn.Module) -> Model:
        """The same, looking into another module, its own twin; what only predicts stays."""
        return replace(self, module=module, twin=Twin(module), prefixes=Prefixes())

    def batch(self, views: Sequence[View]) -> torch.Tensor:
        return to_input(views, self.card.input, self.device)

    def example(self, rows: int = 1) -> torch.Tensor:
        return example_input(self.card, rows).to(self.device)


def make_model(
    module: nn.Module, head: Head, card: Card, device: torch.device, dtype: str
) -> Model:
    """Takes the module over; `dtype` is for predictions on a GPU, a CPU computes in float32."""
    precision = getattr(torch, dtype) if device.type == "cuda" else torch.float32
    found = folded(module, example_input(card))
    module, twin = _placed(module, device), Twin(_placed(found.module, device), found.changed)
    if device.type == "cpu":
        pack(twin.module, example_input(card))
    # The twin has weights of the module, which must not be rounded.
    fast = twin.module if precision == torch.float32 else copy.deepcopy(twin.module).to(precision)
    classes = Classes(head, card.output)
    return Model(module, twin, Predictor(fast, head, precision), head, classes, card, device)


def example_input(card: Card, rows: int = 1) -> torch.Tensor:
    """Noise of the model's input size, the same each time."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((rows, card.input.channels, *card.input.size), generator=generator)
    return noise.contiguous(memory_format=torch.channels_last)


def weights_digest(module: nn.Module) -> str:
    """The name of a model that has no files: of each tensor its name, kind, shape and bytes."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        plain = value.detach().cpu().contiguous()
        digest.update(f"{name}\0{plain.dtype} {list(plain.shape)}\0".encode())
        # NumPy has no bfloat16; bytes it has.
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return f"sha256:{digest.hexdigest()}"


def _placed(module: nn.Module, device: torch.device) -> nn.Module:
    """On the device, channels-last: a quarter faster on a CPU, and what tensor cores want."""
    placed: nn.Module = module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed
