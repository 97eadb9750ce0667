"""Integrated gradients: what each pixel adds on the way from a baseline to the image."""

from __future__ import annotations

from typing import Any, Mapping, Optional

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
from servelens.engine.series.path import PATH, PathSamples


@attribution(
    name="integrated_gradients",
    title="Integrated gradients",
    family="gradient",
    scope="input",
    signed=True,
    series=PATH,
    reads_each=Reads.INPUT_GRADIENT,
    comes_in_parts=True,
    complete=True,
    params=(PER_CHANNEL,),
    paper="https://arxiv.org/abs/1703.01365",
)
class IntegratedGradients(Tally):
    """The score's gradient along the way from a baseline, times the way; adds up to the change.

    With s the class score, x the input and b the baseline,
    M = Σ_c (x - b) · ∫ ∂s / ∂x (b + a (x - b)) da, and Σ M = s(x) - s(b) but for the steps'
    coarseness, which `convergence_delta` tells. Sundararajan et al., 2017.
    """

    samples: PathSamples

    def __init__(
        self, source: Source, samples: PathSamples, ends: Ends, params: Mapping[str, Any]
    ) -> None:
        super().__init__(source, samples, ends, params)
        self._integral = torch.zeros_like(source.input)
        self._way = 0.0

    def add(self, shot: Shot) -> None:
        assert shot.input_gradient is not None
        weights = self.samples.at(self.samples.weights, shot.indices, 4)
        self._integral += (shot.input_gradient * weights).sum(0)
        self._way += self.samples.share_of_way(shot.indices)

    def share(self) -> Map:
        return self._upto(self._way, one_weight(self._way))

    def map(self) -> Map:
        return self._upto(1.0, None)

    def _upto(self, way: float, weight: Optional[torch.Tensor]) -> Map:
        """So much of the way, which has so much of the change to add up to."""
        values = self._integral * self.samples.way
        assert self.ends.empty is not None
        delta = float(values.double().sum()) - way * (self.ends.whole - self.ends.empty)
        return Map(over_colours(values, self.params), signed=True, weight=weight, delta=delta)
