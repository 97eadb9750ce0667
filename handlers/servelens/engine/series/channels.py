"""One image for each channel of a layer: seen through it, or run without it."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

import torch
from torch.nn import functional

from servelens.engine.kit import Samples, Series, Shape, Source


class ThroughChannels(Samples):
    """The image, dimmed where the channel is low."""

    def __init__(self, source: Source) -> None:
        assert source.activation is not None
        self._input = source.input
        self._activation = source.activation

    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        maps = self._activation[list(indices)][:, None]
        size = self._input.shape[1:]
        large = functional.interpolate(maps, size, mode="bilinear", align_corners=False)
        low, high = large.amin(dim=(2, 3), keepdim=True), large.amax(dim=(2, 3), keepdim=True)
        span = torch.where(high > low, high - low, torch.ones_like(high))
        return self._input * ((large - low) / span)


class WithoutChannels(Samples):
    """The image itself; in the layer one channel is zero."""

    one_input = True

    def __init__(self, source: Source) -> None:
        assert source.activation is not None
        self._input = source.input
        self._activation = source.activation

    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        return self._input.expand(len(indices), *self._input.shape)

    def layer_values(self, indices: Sequence[int]) -> torch.Tensor:
        values = self._activation.repeat(len(indices), *[1] * self._activation.dim())
        values[range(len(indices)), list(indices)] = 0
        return values


class Channels(Series):
    of_layer = True

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return 0 if layer is None else layer[0]


class SeenThroughChannels(Channels):
    def lay_out(self, source: Source, params: Mapping[str, Any]) -> Samples:
        return ThroughChannels(source)


class RunWithoutChannels(Channels):
    def lay_out(self, source: Source, params: Mapping[str, Any]) -> Samples:
        return WithoutChannels(source)


SEEN_THROUGH_CHANNELS = SeenThroughChannels()
RUN_WITHOUT_CHANNELS = RunWithoutChannels()
