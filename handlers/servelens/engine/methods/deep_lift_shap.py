"""DeepLIFT SHAP: DeepLIFT, expected over baselines."""

from __future__ import annotations

from servelens.engine.kit import PER_CHANNEL, MeanRelevance, attribution
from servelens.engine.series.unrolled import NOISY_BASELINES


@attribution(
    name="deep_lift_shap",
    title="DeepLIFT SHAP",
    family="gradient",
    scope="input",
    signed=True,
    series=NOISY_BASELINES,
    comes_in_parts=True,
    complete=True,
    params=(PER_CHANNEL,),
    paper="https://arxiv.org/abs/1705.07874",
)
class DeepLiftShap(MeanRelevance):
    """The mean of DeepLIFT over noisy baselines, which comes near the pixels' Shapley values.

    A worker has no training images to draw baselines from. Like gradient SHAP it draws from
    normal noise, of the deviation `noise` times the image's range, here around the baseline.
    With B such a baseline Σ M = s(x) - E[s(B)]. Lundberg and Lee, 2017.
    """
