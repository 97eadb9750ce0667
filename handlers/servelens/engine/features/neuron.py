"""One unit of a layer: what it gives for images, and what of the image moves it.

A pass ends where the unit is reached, for nothing behind it is asked.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Optional, Tuple

import torch
from torch import nn

from servelens.engine.state import borrowed, forward_hooks, random_numbers_kept


@dataclass(frozen=True)
class Neuron:
    """A channel and a place of what one call of a module gives."""

    module: str
    call: int
    channel: int
    position: Tuple[int, int]


def neuron_values(model: nn.Module, batch: torch.Tensor, neuron: Neuron) -> torch.Tensor:
    """[N]: of each image; raises LookupError where the pass never comes to the unit."""
    with torch.inference_mode():
        return _run_until(model, batch, neuron)


def neuron_gradient(
    model: nn.Module, image: torch.Tensor, neuron: Neuron
) -> Tuple[torch.Tensor, Optional[torch.Tensor]]:
    """What the unit gives for an image [C, H, W], and its gradient there; None where no graph
    leads from the unit to the input."""
    with torch.inference_mode(False), torch.enable_grad():
        source = image[None].clone().requires_grad_(True)
        (value,) = _run_until(model, source, neuron)
        if not value.requires_grad:
            return value, None
        (gradient,) = torch.autograd.grad(value, source, allow_unused=True)
        return value.detach(), None if gradient is None else gradient[0]


class _Reached(BaseException):
    """Ends a pass. Not an Exception, for those a model may catch."""

    def __init__(self, values: torch.Tensor) -> None:
        super().__init__()
        self.values = values


def _run_until(model: nn.Module, batch: torch.Tensor, neuron: Neuron) -> torch.Tensor:
    calls = itertools.count()
    row, column = neuron.position

    def look(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if next(calls) == neuron.call:
            raise _Reached(output[:, neuron.channel, row, column].clone())

    with ExitStack() as stack:
        stack.enter_context(borrowed(model))
        stack.enter_context(forward_hooks(model, {neuron.module: look}))
        stack.enter_context(random_numbers_kept(batch.device))
        try:
            # A model may change its input in place, which no leaf of a graph allows.
            model(batch.clone())
        except _Reached as reached:
            return reached.values
    raise LookupError(f"{neuron.module} was not called {neuron.call + 1} times in this pass")
