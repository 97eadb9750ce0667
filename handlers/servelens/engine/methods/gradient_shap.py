"""Gradient SHAP: integrated gradients, expected over places of the path and noise."""

from __future__ import annotations

from typing import Any, Mapping

import torch

from servelens.engine.kit import (
    PER_CHANNEL,
    Ends,
    Map,
    Reads,
    Shot,
    Source,
    Tally,
    attribution,
    one_weight,
    over_colours,
)
from servelens.engine.series.noisy_path import NOISY_PATH, NoisyPathSamples


@attribution(
    name="gradient_shap",
    title="Gradient SHAP",
    family="gradient",
    scope="input",
    signed=True,
    series=NOISY_PATH,
    reads_each=Reads.INPUT_GRADIENT,
    comes_in_parts=True,
    params=(PER_CHANNEL,),
    paper="https://arxiv.org/abs/1705.07874",
)
class GradientShap(Tally):
    """The gradient at random places between a baseline and the noisy image, times the way there.

    With s the class score, x the input, b the baseline, e normal noise and a uniform in [0, 1],
    M = Σ_c E[(x + e - b) · ∂s / ∂x (b + a (x + e - b))]. Lundberg and Lee, 2017.
    """

    samples: NoisyPathSamples

    def __init__(
        self, source: Source, samples: NoisyPathSamples, ends: Ends, params: Mapping[str, Any]
    ) -> None:
        super().__init__(source, samples, ends, params)
        self._total = torch.zeros_like(source.input)
        self._count = 0

    def add(self, shot: Shot) -> None:
        assert shot.input_gradient is not None
        self._total += (shot.input_gradient * self.samples.ways(shot.indices)).sum(0)
        self._count += len(shot.indices)

    def share(self) -> Map:
        values = over_colours(self._total, self.params)
        return Map(values, signed=True, weight=one_weight(self._count))

    def map(self) -> Map:
        return Map(over_colours(self._total / self._count, self.params), signed=True)
