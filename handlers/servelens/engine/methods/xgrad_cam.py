"""XGrad-CAM: a channel's gradients count where the channel is active."""

from __future__ import annotations

import torch

from servelens.engine.kit import Map, Reading, Reads, attribution


@attribution(
    name="xgrad_cam",
    title="XGrad-CAM",
    family="cam",
    scope="layer",
    signed=False,
    reads=Reads.ACTIVATION | Reads.LAYER_GRADIENT,
    needs_layer_map=True,
    paper="https://arxiv.org/abs/2008.02312",
)
def xgrad_cam(reading: Reading) -> Map:
    """The layer's channels, each weighted by its gradient's mean, places by their activation.

    With s the class score and A the layer's output, w(c) = Σ_hw A(c, h, w) · ∂s / ∂A(c, h, w) /
    Σ_hw A(c, h, w) and M = ReLU(Σ_c w(c) · A(c)). Fu et al., 2020.
    """
    assert reading.activation is not None and reading.layer_gradient is not None
    activation = reading.activation
    active = activation.sum(dim=(2, 3), keepdim=True)
    spoken = (reading.layer_gradient * activation).sum(dim=(2, 3), keepdim=True)
    weights = torch.where(active != 0, spoken / active, torch.zeros_like(spoken))
    return Map((weights * activation).sum(dim=1).relu(), signed=False)
