"""Random places on the way from a baseline to the image, each under noise of its own."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

import torch

from servelens.engine.kit import Param, Samples, Series, Shape, Source, baseline_of, baseline_param
from servelens.engine.series.noise import NoisySamples
from servelens.protocol.shapes import Integer, Number


class NoisyPathSamples(Samples):
    def __init__(self, source: Source, params: Mapping[str, Any]) -> None:
        self._noisy = NoisySamples(source, params)
        self._from = baseline_of(params["baseline"], source)
        self._places = torch.rand(params["samples"], generator=source.generator())

    def ways(self, indices: Sequence[int]) -> torch.Tensor:
        """From the baseline to each noisy image."""
        return self._noisy.inputs(indices) - self._from

    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        places = self._places[list(indices)].to(self._from).view(-1, 1, 1, 1)
        return self._from + places * self.ways(indices)


class NoisyPath(Series):
    params = (
        baseline_param("black"),
        Param("samples", Integer(1, 1000), 25, "random places on noisy ways"),
        Param("noise", Number(0, 1), 0.09, "its deviation, as a share of the image's range"),
    )
    thinned_by = "samples"

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return int(params["samples"])

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> NoisyPathSamples:
        return NoisyPathSamples(source, params)


NOISY_PATH = NoisyPath()
