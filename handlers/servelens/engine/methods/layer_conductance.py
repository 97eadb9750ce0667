"""Layer conductance: what flows through each unit on the way to the image."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Tuple

import torch

from servelens.engine.kit import Ends, LayerPathSum, Reads, Shot, Source, attribution
from servelens.engine.series.path import PATH, PathSamples


@attribution(
    name="layer_conductance",
    title="Layer conductance",
    family="layer",
    scope="layer",
    signed=True,
    series=PATH,
    reads_each=Reads.ACTIVATION | Reads.LAYER_GRADIENT,
    needs_layer_map=True,
    comes_in_parts=True,
    looks_back=True,
    paper="https://arxiv.org/abs/1805.12233",
)
class LayerConductance(LayerPathSum):
    """What the layer's units add to the score from a baseline to the image, over channels.

    With s the class score and A(i) the layer's output at step i of the path,
    M(h, w) = Σ_c Σ_i ∂s / ∂A(i) · (A(i + 1) - A(i)). Dhamdhere et al., 2018.
    """

    def __init__(
        self, source: Source, samples: PathSamples, ends: Ends, params: Mapping[str, Any]
    ) -> None:
        super().__init__(source, samples, ends, params)
        self._last: Optional[Tuple[torch.Tensor, torch.Tensor]] = None

    def follow(self, shot: Shot) -> None:
        assert shot.activation is not None and shot.layer_gradient is not None
        self._last = shot.activation[-1:], shot.layer_gradient[-1:]

    def step(self, shot: Shot) -> torch.Tensor:
        given, gradient = shot.activation, shot.layer_gradient
        assert given is not None and gradient is not None
        # Before the first step nothing flows.
        last_given, last_gradient = self._last or (given[:1], gradient[:1])
        self.follow(shot)
        before = torch.cat((last_given, given[:-1]))
        return (torch.cat((last_gradient, gradient[:-1])) * (given - before)).sum(dim=0)
