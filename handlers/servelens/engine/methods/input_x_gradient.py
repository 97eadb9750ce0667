"""Input times gradient: what each pixel adds to a score that were linear."""

from __future__ import annotations

from servelens.engine.kit import PER_CHANNEL, Map, Reading, Reads, attribution


@attribution(
    name="input_x_gradient",
    title="Input × gradient",
    family="gradient",
    scope="input",
    signed=True,
    reads=Reads.INPUT_GRADIENT,
    params=(PER_CHANNEL,),
    paper="https://arxiv.org/abs/1605.01713",
)
def input_x_gradient(reading: Reading, *, per_channel: bool) -> Map:
    """Each normalised pixel times the score's gradient there, summed over the colour channels.

    With s the class score and x the input, M(h, w) = Σ_c x(c, h, w) · ∂s / ∂x(c, h, w). Shrikumar
    et al., 2016.
    """
    assert reading.input_gradient is not None
    product = reading.input * reading.input_gradient
    return Map(product if per_channel else product.sum(dim=1), signed=True)
