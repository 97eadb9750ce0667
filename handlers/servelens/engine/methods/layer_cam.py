"""LayerCAM: only places whose gradient speaks for the class count."""

from __future__ import annotations

from servelens.engine.kit import Map, Reading, Reads, attribution


@attribution(
    name="layer_cam",
    title="LayerCAM",
    family="cam",
    scope="layer",
    signed=False,
    reads=Reads.ACTIVATION | Reads.LAYER_GRADIENT,
    needs_layer_map=True,
    paper="https://doi.org/10.1109/TIP.2021.3089943",
)
def layer_cam(reading: Reading) -> Map:
    """The layer's values, each times the positive part of its gradient, summed over the channels.

    With s the class score and A the layer's output, M(h, w) = ReLU(Σ_c ReLU(∂s / ∂A(c, h, w)) ·
    A(c, h, w)). Jiang et al., 2021.
    """
    assert reading.activation is not None and reading.layer_gradient is not None
    return Map((reading.layer_gradient.relu() * reading.activation).sum(dim=1).relu(), signed=False)
