"""Layer gradient times activation: what each unit adds to a score that were linear in it."""

from __future__ import annotations

from servelens.engine.kit import Map, Reading, Reads, attribution


@attribution(
    name="layer_gradient_x_activation",
    title="Layer gradient × activation",
    family="layer",
    scope="layer",
    signed=True,
    reads=Reads.ACTIVATION | Reads.LAYER_GRADIENT,
    needs_layer_map=True,
    paper="https://arxiv.org/abs/1711.06104",
)
def layer_gradient_x_activation(reading: Reading) -> Map:
    """The layer's values, each times the score's gradient there, summed over the channels.

    With s the class score and A the layer's output, M(h, w) = Σ_c A(c, h, w) · ∂s / ∂A(c, h, w).
    HiResCAM is its positive part. Ancona et al., 2018.
    """
    assert reading.activation is not None and reading.layer_gradient is not None
    return Map((reading.layer_gradient * reading.activation).sum(dim=1), signed=True)
