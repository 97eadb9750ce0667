"""The image again and again, each time under other noise."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

import torch

from servelens.engine.kit import Param, Samples, Series, Shape, Source
from servelens.protocol.shapes import Integer, Number


class NoisySamples(Samples):
    def __init__(self, source: Source, params: Mapping[str, Any]) -> None:
        self._input = source.input
        spread = source.input.max() - source.input.min()
        self._deviation = params["noise"] * spread
        self._seed = source.seed

    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        noise = torch.stack([drawn(self._seed, i, self._input.shape) for i in indices])
        return self._input + noise.to(self._input.device) * self._deviation


class Noise(Series):
    params = (
        Param("samples", Integer(1, 1000), 25, "noisy copies of the image"),
        Param("noise", Number(0, 1), 0.15, "its deviation, as a share of the image's range"),
    )
    thinned_by = "samples"

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return int(params["samples"])

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> NoisySamples:
        return NoisySamples(source, params)


def drawn(seed: int, index: int, shape: Shape) -> torch.Tensor:
    """Normal numbers that image `index` of a series draws, whichever images are drawn before."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + index) % 2**63)
    return torch.randn(shape, generator=generator)


NOISE = Noise()
