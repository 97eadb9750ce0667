"""Eigen-CAM: what the layer's channels have most in common, whatever the class."""

from __future__ import annotations

import torch

from servelens.engine.kit import Map, Reading, Reads, attribution


@attribution(
    name="eigen_cam",
    title="Eigen-CAM",
    family="cam",
    scope="layer",
    signed=False,
    reads=Reads.ACTIVATION,
    needs_layer_map=True,
    paper="https://arxiv.org/abs/2008.00299",
)
def eigen_cam(reading: Reading) -> Map:
    """The layer's channels, projected on their first principal direction; asks for no class.

    With A as a matrix of places by channels, centred over the places, and v its first right
    singular vector, M = ReLU(A · v), its sign turned so that what is active is positive. Muhammad
    and Yeasin, 2020.
    """
    assert reading.activation is not None
    places = reading.activation.flatten(2).transpose(1, 2).double()
    centred = places - places.mean(dim=1, keepdim=True)
    first = torch.linalg.svd(centred, full_matrices=False).Vh[:, :1]
    projected = (centred * first).sum(dim=2)
    # A singular vector's sign is arbitrary.
    upright = torch.sign((projected * places.sum(dim=2)).sum(dim=1, keepdim=True))
    return Map((projected * upright).view(-1, *reading.activation.shape[2:]).relu(), signed=False)
