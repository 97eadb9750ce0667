"""Score-CAM: a channel counts by the score of the image seen through it."""

from __future__ import annotations

import torch

from servelens.engine.kit import ChannelScores, Map, attribution, one_weight
from servelens.engine.series.channels import SEEN_THROUGH_CHANNELS
from servelens.protocol import problem

# How far from the image's own score a channel's may be, that e to the power of it is a float32.
FARTHEST = 60.0


@attribution(
    name="score_cam",
    title="Score-CAM",
    family="cam",
    scope="layer",
    signed=False,
    series=SEEN_THROUGH_CHANNELS,
    needs_layer_map=True,
    comes_in_parts=True,
    paper="https://arxiv.org/abs/1910.01279",
)
class ScoreCam(ChannelScores):
    """The layer's channels, each weighted by the score of the image seen through it.

    With s(c) the score of x ⊙ (A(c) scaled up and to [0, 1]), w = softmax over c of s and
    M = ReLU(Σ_c w(c) · A(c)). Wang et al., 2020.
    """

    def weights(self, scores: torch.Tensor) -> torch.Tensor:
        return torch.softmax(scores.double(), dim=0)

    def share(self) -> Map:
        """The softmax's numerators and their sum, each as seen from the image's own score, which
        every share knows."""
        assert self.source.activation is not None
        channels = self.source.activation[self._done].double()
        scores = torch.cat(self._scores) if self._scores else channels.new_zeros(0)
        above = scores.double() - self.ends.whole
        if above.numel() and float(above.abs().max()) > FARTHEST:
            raise problem(
                "unsupported",
                f"score_cam does not come in parts here: through a channel the score is farther "
                f"than {FARTHEST:g} from the image's own, and its weight is lost in rounding",
                hint="leave part out",
            )
        weights = above.exp()
        total = (weights[:, None, None] * channels).sum(dim=0)
        return Map(total, signed=False, weight=one_weight(float(weights.sum())))
