"""Slow, plain versions of what the engine does, written from the formulas and in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from servelens.engine.geometry import to_input, view_photo
from servelens.engine.session import Session

Score = Callable[[torch.Tensor], torch.Tensor]


def model_input(session: Session, image: bytes) -> torch.Tensor:
    """[1, C, H, W], as the model sees this photo."""
    spec = session.card.input
    return to_input([view_photo(image, spec, 10**8)], spec, torch.device("cpu"))


def untouched(module: nn.Module) -> nn.Module:
    """A copy in float64 in which nothing rectifies in place and nothing is hooked."""
    module = copy.deepcopy(module).double().eval()
    for inner in module.modules():
        if isinstance(inner, (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU)):
            inner.inplace = False
        inner._forward_hooks.clear()
        inner._forward_pre_hooks.clear()
    return module


@dataclass(frozen=True)
class Pass:
    """One plain forward and backward pass of one image: NumPy arrays without the batch."""

    logits: np.ndarray
    activation: np.ndarray | None
    layer_gradient: np.ndarray | None
    input_gradient: np.ndarray


def one_pass(
    module: nn.Module, image: torch.Tensor, score: Score, layer: str | None = None, call: int = -1
) -> Pass:
    """`score` is of one row's logits; `call` counts the calls of the layer's module. What the layer
    gave is copied, and its gradient caught on the way back, before anything in place."""
    module = untouched(module).requires_grad_(False)
    given: list[np.ndarray] = []
    caught: dict[int, np.ndarray] = {}

    def look(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        index = len(given)
        given.append(output[0].detach().numpy().copy())
        caught[index] = np.zeros(output.shape[1:])
        output.register_hook(lambda gradient: caught.update({index: gradient[0].numpy()}))

    if layer is not None:
        module.get_submodule(layer).register_forward_hook(look)
    source = image.double().requires_grad_(True)
    logits = module(source)
    score(logits[0]).backward()
    return Pass(
        logits=logits[0].detach().numpy(),
        activation=None if layer is None else given[call],
        layer_gradient=None if layer is None else caught[range(len(given))[call]],
        input_gradient=source.grad[0].numpy(),
    )


def slow_grad_cam(found: Pass, relu: bool = True) -> np.ndarray:
    """Place by place: the sum over channels of the mean gradient times the activation."""
    channels, height, width = found.activation.shape
    gradient, activation = found.layer_gradient.tolist(), found.activation.tolist()
    weights = [sum(map(sum, gradient[c])) / (height * width) for c in range(channels)]
    cam = np.zeros((height, width))
    for h in range(height):
        for w in range(width):
            value = sum(weights[c] * activation[c][h][w] for c in range(channels))
            cam[h, w] = max(value, 0.0) if relu else value
    return cam


def slow_saliency(found: Pass) -> np.ndarray:
    """Pixel by pixel: the sum over channels of the gradient's absolute value."""
    channels, height, width = found.input_gradient.shape
    saliency = np.zeros((height, width))
    for h in range(height):
        for w in range(width):
            saliency[h, w] = sum(abs(found.input_gradient[c, h, w]) for c in range(channels))
    return saliency


def assert_close(ours: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    """Within this part of the expected values' range."""
    assert ours.shape == expected.shape
    largest = np.abs(expected).max()
    assert largest > 0, "an oracle of nothing but zeros proves nothing"
    assert np.abs(ours - expected).max() <= tolerance * largest
