"""Guided backpropagation: of the way back only what excites, through units that were active."""

from __future__ import annotations

from servelens.engine.kit import PER_CHANNEL, Map, Reading, Reads, attribution


@attribution(
    name="guided_backprop",
    title="Guided backpropagation",
    family="gradient",
    scope="input",
    signed=True,
    reads=Reads.GUIDED_GRADIENT,
    params=(PER_CHANNEL,),
    paper="https://arxiv.org/abs/1412.6806",
)
def guided_backprop(reading: Reading, *, per_channel: bool) -> Map:
    """The gradient where each ReLU lets back only what is positive and came through it, summed.

    At each ReLU with output y and gradient g from above, what goes on is max(g, 0) · [y > 0]; the
    map is summed over the colour channels. Springenberg et al., 2015.
    """
    assert reading.ruled_gradient is not None
    gradient = reading.ruled_gradient
    return Map(gradient if per_channel else gradient.sum(dim=1), signed=True)
