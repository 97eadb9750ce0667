"""HiResCAM: each place's own gradient, not its channel's mean."""

from __future__ import annotations

from servelens.engine.kit import Map, Reading, Reads, attribution


@attribution(
    name="hires_cam",
    title="HiResCAM",
    family="cam",
    scope="layer",
    signed=False,
    reads=Reads.ACTIVATION | Reads.LAYER_GRADIENT,
    needs_layer_map=True,
    paper="https://arxiv.org/abs/2011.08891",
)
def hires_cam(reading: Reading) -> Map:
    """The layer's values, each times the score's gradient there, summed over the channels.

    With s the class score and A the layer's output, M(h, w) = ReLU(Σ_c A(c, h, w) · ∂s / ∂A(c, h,
    w)). Draelos and Carin, 2020.
    """
    assert reading.activation is not None and reading.layer_gradient is not None
    return Map((reading.layer_gradient * reading.activation).sum(dim=1).relu(), signed=False)
