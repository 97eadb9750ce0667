"""How much each channel of a layer means for a class: methods like any other, but that what they
give is a number a channel. They share passes with maps, and are asked for by `rank_channels`."""

from __future__ import annotations

from typing import Mapping

import torch

from servelens.engine.kit import ChannelScores, Map, Method, Reading, Reads, attribution
from servelens.engine.series.channels import RUN_WITHOUT_CHANNELS


@attribution(
    name="channel_ablation",
    title="Single-channel ablation",
    family="ranking",
    scope="layer",
    signed=True,
    series=RUN_WITHOUT_CHANNELS,
    paper="https://arxiv.org/abs/1803.06959",
)
class ChannelAblation(ChannelScores):
    """What the score loses when the channel is zero. Morcos et al., 2018."""

    def weights(self, scores: torch.Tensor) -> torch.Tensor:
        return self.ends.whole - scores

    def map(self) -> Map:
        return Map(self.weights(torch.cat(self._scores)), signed=True)


@attribution(
    name="channel_first_order",
    title="First-order effect of a channel",
    family="ranking",
    scope="layer",
    signed=True,
    reads=Reads.ACTIVATION | Reads.LAYER_GRADIENT,
    paper="https://arxiv.org/abs/1611.06440",
)
def channel_first_order(reading: Reading) -> Map:
    """What the score would lose without the channel, were it linear: activation times gradient,
    summed over places. Molchanov et al., 2017."""
    assert reading.activation is not None and reading.layer_gradient is not None
    products = reading.activation * reading.layer_gradient
    return Map(products.reshape(*products.shape[:2], -1).sum(dim=2), signed=True)


RANKINGS: Mapping[str, Method] = {
    "ablation": ChannelAblation,  # type: ignore[dict-item] # the decorator made a Method of it
    "first_order": channel_first_order,
}
