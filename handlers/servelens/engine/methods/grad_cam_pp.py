"""Grad-CAM++: like Grad-CAM, but each place's gradient counts by how it curves."""

from __future__ import annotations

import torch

from servelens.engine.kit import Map, Reading, Reads, attribution


@attribution(
    name="grad_cam_pp",
    title="Grad-CAM++",
    family="cam",
    scope="layer",
    signed=False,
    reads=Reads.ACTIVATION | Reads.LAYER_GRADIENT,
    needs_layer_map=True,
    paper="https://arxiv.org/abs/1710.11063",
)
def grad_cam_pp(reading: Reading) -> Map:
    """The layer's channels, weighted by their positive gradients, each place by its share of them.

    With g = ∂s / ∂A, a(c, h, w) = g² / (2 g² + g³ · Σ_hw A), and w(c) = Σ_hw a ·
    ReLU(g), M = ReLU(Σ_c w(c) · A(c)). The score is taken as exp(s), whose derivatives are powers
    of g. Chattopadhyay et al., 2018.
    """
    assert reading.activation is not None and reading.layer_gradient is not None
    gradient, activation = reading.layer_gradient, reading.activation
    square = gradient**2
    bent = 2 * square + activation.sum(dim=(2, 3), keepdim=True) * gradient**3
    shares = square / torch.where(bent != 0, bent, torch.ones_like(bent))
    weights = (shares * gradient.relu()).sum(dim=(2, 3), keepdim=True)
    return Map((weights * activation).sum(dim=1).relu(), signed=False)
