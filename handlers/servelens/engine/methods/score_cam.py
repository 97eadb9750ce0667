"""Score-CAM: a channel counts by the score of the image seen through it."""

from __future__ import annotations

import torch

from servelens.engine.kit import ChannelScores, attribution
from servelens.engine.series.channels import SEEN_THROUGH_CHANNELS


@attribution(
    name="score_cam",
    title="Score-CAM",
    family="cam",
    scope="layer",
    signed=False,
    series=SEEN_THROUGH_CHANNELS,
    needs_layer_map=True,
    paper="https://arxiv.org/abs/1910.01279",
)
class ScoreCam(ChannelScores):
    """The layer's channels, each weighted by the score of the image seen through it.

    With s(c) the score of x ⊙ (A(c) scaled up and to [0, 1]), w = softmax over c of s and
    M = ReLU(Σ_c w(c) · A(c)). Wang et al., 2020.
    """

    def weights(self, scores: torch.Tensor) -> torch.Tensor:
        return torch.softmax(scores, dim=0)
