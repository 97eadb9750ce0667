"""Layer integrated gradients: what each unit adds on the way from its value for a baseline."""

from __future__ import annotations

from dataclasses import replace

import torch

from servelens.engine.kit import LayerPathSum, Map, Reads, Shot, attribution
from servelens.engine.series.layer_path import LAYER_PATH, LayerPathSamples


@attribution(
    name="layer_integrated_gradients",
    title="Layer integrated gradients",
    family="layer",
    scope="layer",
    signed=True,
    series=LAYER_PATH,
    reads_each=Reads.LAYER_GRADIENT,
    needs_layer_map=True,
    comes_in_parts=True,
    complete=True,
    paper="https://arxiv.org/abs/1703.01365",
)
class LayerIntegratedGradients(LayerPathSum):
    """The score's gradient along the way of the layer's output, times the way, over channels.

    With s the class score and the layer's output A for the image and B for a baseline,
    M(h, w) = Σ_c (A - B) · ∫ ∂s / ∂A (B + a (A - B)) da, with the image before the layer all the
    while. So Σ M is what the score gains when the layer gives A instead of B, but for the steps'
    coarseness, which `convergence_delta` tells. Sundararajan et al., 2017.
    """

    samples: LayerPathSamples

    def step(self, shot: Shot) -> torch.Tensor:
        gradient = shot.layer_gradient
        assert gradient is not None
        weights = self.samples.at(self.samples.weights, shot.indices, gradient.dim())
        return (gradient * weights).sum(dim=0) * self.samples.layer_way

    def share(self) -> Map:
        return self._missing(super().share(), self._way)

    def map(self) -> Map:
        return self._missing(super().map(), 1.0)

    def _missing(self, found: Map, way: float) -> Map:
        """The same with by how much it misses what so much of the way has to add up to."""
        assert self.ends.empty is not None
        delta = float(found.values.double().sum()) - way * (self.ends.whole - self.ends.empty)
        return replace(found, delta=delta)
