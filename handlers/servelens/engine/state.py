"""Whatever a pass changes on a model, put back when it ends, also when it ends badly."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Callable, Iterator, Mapping

import torch
from torch import nn


@contextmanager
def borrowed(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode with its parameters out of the graph.

    Only gradients of inputs and activations are ever wanted; leaving the parameters in would
    make each backward pass compute theirs too.
    """
    training = [module for module in model.modules() if module.training]
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for module in training:
            module.training = False
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield model
    finally:
        for module in training:
            module.training = True
        for parameter in trainable:
            parameter.requires_grad_(True)


@contextmanager
def forward_hooks(model: nn.Module, hooks: Mapping[str, Callable[..., object]]) -> Iterator[None]:
    """A forward hook on each named module, removed again whatever happens."""
    handles = []
    try:
        for name, hook in hooks.items():
            handles.append(model.get_submodule(name).register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def random_numbers_kept(device: torch.device) -> Iterator[None]:
    """A model that draws random numbers uses up none of those that others draw from."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
