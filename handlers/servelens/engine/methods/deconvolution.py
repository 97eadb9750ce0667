"""The deconvolutional network: each ReLU rectifies the way back instead of the way there."""

from __future__ import annotations

from servelens.engine.kit import PER_CHANNEL, Map, Reading, Reads, attribution


@attribution(
    name="deconvolution",
    title="Deconvolution",
    family="gradient",
    scope="input",
    signed=True,
    reads=Reads.DECONVOLVED_GRADIENT,
    params=(PER_CHANNEL,),
    paper="https://arxiv.org/abs/1311.2901",
)
def deconvolution(reading: Reading, *, per_channel: bool) -> Map:
    """The gradient where each ReLU lets back all that is positive, summed over the colour channels.

    At each ReLU with gradient g from above, what goes on is max(g, 0), whether the unit was active
    or not. Zeiler and Fergus, 2014.
    """
    assert reading.ruled_gradient is not None
    gradient = reading.ruled_gradient
    return Map(gradient if per_channel else gradient.sum(dim=1), signed=True)
