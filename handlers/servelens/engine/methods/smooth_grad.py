"""SmoothGrad: gradients are noisy, so their mean over noisy copies of the image is taken."""

from __future__ import annotations

from servelens.engine.kit import PER_CHANNEL, MeanGradient, Reads, attribution
from servelens.engine.series.noise import NOISE


@attribution(
    name="smooth_grad",
    title="SmoothGrad",
    family="gradient",
    scope="input",
    signed=True,
    series=NOISE,
    reads_each=Reads.INPUT_GRADIENT,
    comes_in_parts=True,
    params=(PER_CHANNEL,),
    paper="https://arxiv.org/abs/1706.03825",
)
class SmoothGrad(MeanGradient):
    """The score's gradient, averaged over noisy copies of the image, summed over colours.

    With s the class score, x the input and e normal noise, M = Σ_c E[∂s / ∂x (x + e)].
    Smilkov et al., 2017.
    """
