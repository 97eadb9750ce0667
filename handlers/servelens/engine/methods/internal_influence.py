"""Internal influence: what moves the score in a layer, along a path."""

from __future__ import annotations

import torch

from servelens.engine.kit import LayerPathSum, Reads, Shot, attribution
from servelens.engine.series.path import PATH, PathSamples


@attribution(
    name="internal_influence",
    title="Internal influence",
    family="layer",
    scope="layer",
    signed=True,
    series=PATH,
    reads_each=Reads.LAYER_GRADIENT,
    needs_layer_map=True,
    comes_in_parts=True,
    paper="https://arxiv.org/abs/1802.03788",
)
class InternalInfluence(LayerPathSum):
    """The score's gradient in the layer, averaged from a baseline to the image, over channels.

    With s the class score, A the layer's output and the path from b to x,
    M(h, w) = Σ_c ∫ ∂s / ∂A(c, h, w) (b + a (x - b)) da. Leino et al., 2018.
    """

    samples: PathSamples

    def step(self, shot: Shot) -> torch.Tensor:
        gradient = shot.layer_gradient
        assert gradient is not None
        weights = self.samples.at(self.samples.weights, shot.indices, gradient.dim())
        return (gradient * weights).sum(dim=0)
