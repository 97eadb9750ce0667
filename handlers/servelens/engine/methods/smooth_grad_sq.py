"""SmoothGrad squared: like SmoothGrad, but opposite gradients do not cancel."""

from __future__ import annotations

import torch

from servelens.engine.kit import PER_CHANNEL, MeanGradient, Reads, attribution
from servelens.engine.series.noise import NOISE


@attribution(
    name="smooth_grad_sq",
    title="SmoothGrad²",
    family="gradient",
    scope="input",
    signed=False,
    series=NOISE,
    reads_each=Reads.INPUT_GRADIENT,
    comes_in_parts=True,
    params=(PER_CHANNEL,),
    paper="https://arxiv.org/abs/1806.10758",
)
class SmoothGradSq(MeanGradient):
    """The score's squared gradient, averaged over noisy copies of the image, summed over colours.

    With s the class score, x the input and e normal noise, M = Σ_c E[(∂s / ∂x (x + e))²]. Hooker
    et al., 2019.
    """

    signed = False

    def each(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient**2
