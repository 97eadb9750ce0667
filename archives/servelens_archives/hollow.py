"""Modules without weights: their names and shapes, for next to no time and memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from servelens.engine.folder.card import Card
from servelens.engine.folder.loading import build_module

NOWHERE = Path("/nonexistent")
DRAWING = (
    Tensor.normal_, Tensor.uniform_,
    init.normal_, init.uniform_, init.kaiming_normal_, init.kaiming_uniform_,
)  # fmt: skip


class _Hollow(TorchFunctionMode):
    """Weights begin as `torch.empty`, which gets no memory here, and torch would take half the time
    to draw numbers for them that nothing holds; what is computed while a module is made, as
    regnet's widths are, is computed."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func is torch.empty and given.get("device") is None:
            given["device"] = "meta"
        if func in DRAWING:
            drawn = args[0] if args else given["tensor"]
            if drawn.is_meta:
                return drawn
        return func(*args, **given)


def hollow_state(card: Card, folder: Path = NOWHERE) -> dict[str, Tensor]:
    """The state dict of the card's module, of which only names and shapes mean anything."""
    with _Hollow():
        return build_module(folder, card).state_dict()
