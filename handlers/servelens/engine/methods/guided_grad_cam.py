"""Guided Grad-CAM: Grad-CAM says where, guided backpropagation what."""

from __future__ import annotations

from torch.nn import functional

from servelens.engine.kit import PER_CHANNEL, Map, Reading, Reads, attribution


@attribution(
    name="guided_grad_cam",
    title="Guided Grad-CAM",
    family="cam",
    scope="layer",
    signed=True,
    reads=Reads.ACTIVATION | Reads.LAYER_GRADIENT | Reads.GUIDED_GRADIENT,
    needs_layer_map=True,
    params=(PER_CHANNEL,),
    paper="https://arxiv.org/abs/1610.02391",
)
def guided_grad_cam(reading: Reading, *, per_channel: bool) -> Map:
    """Guided backpropagation, times the layer's Grad-CAM scaled up to the input.

    Grad-CAM has its ReLU and is scaled up by the nearest neighbour, as Captum does; the product is
    summed over the colour channels. Selvaraju et al., 2017.
    """
    assert reading.activation is not None and reading.layer_gradient is not None
    assert reading.ruled_gradient is not None
    weights = reading.layer_gradient.mean(dim=(2, 3), keepdim=True)
    cam = (weights * reading.activation).sum(dim=1, keepdim=True).relu()
    size = reading.ruled_gradient.shape[2:]
    product = reading.ruled_gradient * functional.interpolate(cam, size, mode="nearest")
    return Map(product if per_channel else product.sum(dim=1), signed=True)
