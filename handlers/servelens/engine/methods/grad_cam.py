"""Grad-CAM: which places of a layer, read through its channels, speak for the class."""

from __future__ import annotations

from servelens.engine.kit import Map, Param, Reading, Reads, attribution
from servelens.protocol.shapes import Flag


@attribution(
    name="grad_cam",
    title="Grad-CAM",
    family="cam",
    scope="layer",
    signed=False,
    reads=Reads.ACTIVATION | Reads.LAYER_GRADIENT,
    needs_layer_map=True,
    params=(Param("relu", Flag(), True, "keep only what speaks for the class"),),
    paper="https://arxiv.org/abs/1610.02391",
)
def grad_cam(reading: Reading, *, relu: bool) -> Map:
    """The layer's channels, each weighted by the mean of the score's gradient over its map.

    With s the class score and A the layer's output, w(c) = mean_hw ∂s / ∂A(c, h, w) and
    M(h, w) = ReLU(Σ_c w(c) · A(c, h, w)), at the layer's own resolution. Selvaraju et al., 2017.
    """
    assert reading.activation is not None and reading.layer_gradient is not None
    weights = reading.layer_gradient.mean(dim=(2, 3), keepdim=True)
    cam = (weights * reading.activation).sum(dim=1)
    return Map(cam.relu() if relu else cam, signed=not relu)
