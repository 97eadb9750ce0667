"""DeepLIFT: what each pixel's difference from a baseline makes of the score's difference."""

from __future__ import annotations

from servelens.engine.kit import PER_CHANNEL, MeanRelevance, attribution
from servelens.engine.series.unrolled import ONE_BASELINE


@attribution(
    name="deep_lift",
    title="DeepLIFT",
    family="gradient",
    scope="input",
    signed=True,
    series=ONE_BASELINE,
    complete=True,
    params=(PER_CHANNEL,),
    paper="https://arxiv.org/abs/1704.02685",
)
class DeepLift(MeanRelevance):
    """The change of the score from a baseline, handed back through each call in its proportions.

    By the rescale rule an activation hands back (its output's change) / (its input's change)
    instead of its slope, so that with s the class score, x the input and b the baseline,
    Σ M = s(x) - s(b) in one pass. The map is summed over the colour channels. Shrikumar et al.,
    2017.
    """
