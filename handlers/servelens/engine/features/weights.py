"""What a layer has learned: its kernels, and numbers about them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Iterator, Optional

import numpy as np
import torch
from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd

from servelens.protocol import Histogram, WeightStatistics

BINS = 64
# Of the largest magnitude: such a weight adds next to nothing to a sum.
NEAR_ZERO = 0.01
# Statistics are taken in float64, of so many weights at a time: a layer can have 100 million.
AT_ONCE = 1 << 20


@dataclass(frozen=True)
class LearnedWeights:
    """A module's own weight, the outputs that it makes coming first, and its bias."""

    kernels: torch.Tensor
    bias: Optional[torch.Tensor]

    @property
    def is_finite(self) -> bool:
        own = [self.kernels] if self.bias is None else [self.kernels, self.bias]
        return all(bool(torch.isfinite(values).all()) for values in own)


def weights_of(module: nn.Module) -> Optional[LearnedWeights]:
    """None where the module has no weight of its own, whatever lies inside it."""
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if not isinstance(weight, torch.Tensor) or not weight.is_floating_point():
        return None
    if weight.numel() == 0:
        return None
    kernels = torch.atleast_1d(weight.detach())
    if isinstance(module, _ConvTransposeNd):
        # [in, out / groups, ...]; other layers have the outputs first.
        kernels = kernels.unflatten(0, (module.groups, -1)).transpose(1, 2).flatten(0, 1)
    return LearnedWeights(kernels, bias.detach() if isinstance(bias, torch.Tensor) else None)


def weight_statistics(values: torch.Tensor) -> WeightStatistics:
    """Of any number of finite values, one at least."""
    count = values.numel()
    low, high = float(values.min()), float(values.max())
    threshold = NEAR_ZERO * max(abs(low), abs(high))
    mean = math.fsum(piece.sum() for piece in _pieces(values)) / count
    squares = math.fsum(((piece - mean) ** 2).sum() for piece in _pieces(values))
    norm = math.sqrt(math.fsum((piece**2).sum() for piece in _pieces(values)))
    small = sum(int((np.abs(piece) <= threshold).sum()) for piece in _pieces(values))
    return WeightStatistics(
        count=count,
        mean=mean,
        std=math.sqrt(squares / (count - 1)) if count > 1 else 0.0,
        norm=norm,
        min=low,
        max=high,
        near_zero=small / count,
        near_zero_at_most=threshold,
        histogram=_histogram(values, low, high),
    )


def kernel_norms(kernels: torch.Tensor) -> torch.Tensor:
    """[outputs]: of each output's weights the square root of their sum of squares."""
    return torch.linalg.vector_norm(kernels.reshape(len(kernels), -1), dim=1)


def _histogram(values: torch.Tensor, low: float, high: float) -> Histogram:
    edges = np.histogram_bin_edges(np.array([low, high]), BINS)
    counts = np.zeros(BINS, dtype=np.int64)
    for piece in _pieces(values):
        counts += np.histogram(piece, edges)[0]
    return Histogram(tuple(counts.tolist()), tuple(edges.tolist()))


def _pieces(values: torch.Tensor) -> Iterator[np.ndarray]:
    for piece in values.reshape(-1).split(AT_ONCE):
        array: np.ndarray = piece.double().cpu().numpy()
        yield array
