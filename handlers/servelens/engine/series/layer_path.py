"""The straight line between what a layer gives for a baseline and what it gives for the image."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import torch

from servelens.engine.kit import Source
from servelens.engine.series.path import Path, PathSamples


class LayerPathSamples(PathSamples):
    """The image itself; in the layer a place on the way."""

    def __init__(self, source: Source, params: Mapping[str, Any]) -> None:
        super().__init__(source, params)
        assert source.activation is not None
        self._image = source.input
        self._end = source.activation

    @property
    def layer_way(self) -> torch.Tensor:
        assert self.start is not None
        return self._end - self.start

    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        return self._image.expand(len(indices), *self._image.shape)

    def layer_values(self, indices: Sequence[int]) -> torch.Tensor:
        assert self.start is not None
        way = self.layer_way
        return self.start + way * self.at(self.alphas, indices, way.dim() + 1)


class LayerPath(Path):
    of_layer = True

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> LayerPathSamples:
        return LayerPathSamples(source, params)

    def scored_ends(self, params: Mapping[str, Any]) -> int:
        """The baseline, and the image with what the layer gave for that."""
        return 2


LAYER_PATH = LayerPath()
