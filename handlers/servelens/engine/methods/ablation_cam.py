"""Ablation-CAM: a channel counts by what the score loses without it."""

from __future__ import annotations

import torch

from servelens.engine.kit import ChannelScores, Map, attribution, one_weight
from servelens.engine.series.channels import RUN_WITHOUT_CHANNELS


@attribution(
    name="ablation_cam",
    title="Ablation-CAM",
    family="cam",
    scope="layer",
    signed=False,
    series=RUN_WITHOUT_CHANNELS,
    needs_layer_map=True,
    comes_in_parts=True,
    paper="https://doi.org/10.1109/WACV45572.2020.9093360",
)
class AblationCam(ChannelScores):
    """The layer's channels, each weighted by the share of the score that is lost without it.

    With s(c) the score where channel c of the layer is zero, w(c) = (s - s(c)) / |s| and
    M = ReLU(Σ_c w(c) · A(c)). Desai and Ramaswamy, 2020.
    """

    def weights(self, scores: torch.Tensor) -> torch.Tensor:
        whole = self.ends.whole
        return (whole - scores) / (abs(whole) or 1.0)

    def share(self) -> Map:
        """Before the ReLU, which is of the whole sum."""
        assert self.source.activation is not None
        done = len(self._done) / len(self.source.activation)
        return Map(self.sum(), signed=False, weight=one_weight(done))
