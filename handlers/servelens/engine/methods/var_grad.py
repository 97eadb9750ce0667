"""VarGrad: how much the gradient varies under noise."""

from __future__ import annotations

from typing import Any, Mapping

import torch

from servelens.engine.kit import (
    PER_CHANNEL,
    Ends,
    Map,
    Reads,
    Samples,
    Shot,
    Source,
    Tally,
    attribution,
    over_colours,
)
from servelens.engine.series.noise import NOISE


@attribution(
    name="var_grad",
    title="VarGrad",
    family="gradient",
    scope="input",
    signed=False,
    series=NOISE,
    reads_each=Reads.INPUT_GRADIENT,
    params=(PER_CHANNEL,),
    paper="https://arxiv.org/abs/1810.03292",
)
class VarGrad(Tally):
    """The variance of the score's gradient over noisy copies of the image, summed over colours.

    With s the class score, x the input and e normal noise, M = Σ_c Var[∂s / ∂x (x + e)]. Adebayo
    et al., 2018.
    """

    def __init__(
        self, source: Source, samples: Samples, ends: Ends, params: Mapping[str, Any]
    ) -> None:
        super().__init__(source, samples, ends, params)
        # The mean of squares less the square of the mean would cancel in single precision. It does
        # not come in parts either: the square of a mean is no sum over the images.
        self._sum = torch.zeros_like(source.input, dtype=torch.float64)
        self._squares = torch.zeros_like(self._sum)
        self._count = 0

    def add(self, shot: Shot) -> None:
        assert shot.input_gradient is not None
        gradients = shot.input_gradient.double()
        self._sum += gradients.sum(0)
        self._squares += (gradients**2).sum(0)
        self._count += len(shot.indices)

    def map(self) -> Map:
        variance = self._squares / self._count - (self._sum / self._count) ** 2
        return Map(over_colours(variance.clamp(min=0), self.params), signed=False)
