"""Saliency: where an infinitesimal change of a pixel would move the class score most."""

from __future__ import annotations

from servelens.engine.kit import PER_CHANNEL, Map, Reading, Reads, attribution


@attribution(
    name="saliency",
    title="Saliency",
    family="gradient",
    scope="input",
    signed=False,
    reads=Reads.INPUT_GRADIENT,
    params=(PER_CHANNEL,),
    paper="https://arxiv.org/abs/1312.6034",
)
def saliency(reading: Reading, *, per_channel: bool) -> Map:
    """The size of the score's gradient at each pixel, summed over the colour channels.

    With s the class score and x the input, M(h, w) = Σ_c |∂s / ∂x(c, h, w)|. The absolute value
    is taken before the sum, so that opposite channels do not cancel. Simonyan et al., 2014.
    """
    assert reading.input_gradient is not None
    size = reading.input_gradient.abs()
    return Map(size if per_channel else size.sum(dim=1), signed=False)
