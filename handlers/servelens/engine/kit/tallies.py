"""Tallies that several methods share."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional

import torch

from servelens.engine.kit.maps import Map
from servelens.engine.kit.series import Ends, Shot, Source, Tally


class MeanGradient(Tally):
    """The mean over a series of the input's gradient, or of what `each` makes of it."""

    signed = True

    def __init__(self, source: Source, samples: Any, ends: Ends, params: Mapping[str, Any]) -> None:
        super().__init__(source, samples, ends, params)
        self._total = torch.zeros_like(source.input)
        self._count = 0

    def each(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient

    def add(self, shot: Shot) -> None:
        assert shot.input_gradient is not None
        self._total += self.each(shot.input_gradient).sum(0)
        self._count += len(shot.indices)

    def share(self) -> Map:
        return Map(over_colours(self._total, self.params), self.signed, one_weight(self._count))

    def map(self) -> Map:
        return Map(over_colours(self._total / self._count, self.params), self.signed)


class Effects(Tally):
    """Where the score goes up or down: for each place a weighted mean of what the images told.

    Its samples have `told(indices, scores, ends)`, which gives, summed over these images, what
    each says of each place and how much that counts. Both sums add up over shares of the work.
    """

    def __init__(self, source: Source, samples: Any, ends: Ends, params: Mapping[str, Any]) -> None:
        super().__init__(source, samples, ends, params)
        self._sums: Optional[Map] = None

    def add(self, shot: Shot) -> None:
        values, weight = self.samples.told(shot.indices, shot.scores, self.ends)
        if self._sums is not None:
            values, weight = self._sums.values + values, self._sums.weight + weight
        self._sums = Map(values, signed=True, weight=weight)

    def share(self) -> Map:
        if self._sums is None:
            nothing = torch.zeros(self.source.input.shape[1:], dtype=torch.float64)
            return Map(nothing, signed=True, weight=one_weight(0))
        return self._sums

    def map(self) -> Map:
        sums = self.share()
        assert sums.weight is not None
        # Where nothing was told, the sum is zero, and so is the quotient.
        return Map(sums.values / sums.weight.clamp(min=torch.finfo(sums.weight.dtype).tiny), True)


class ChannelScores(Tally):
    """One score for each channel of the explained layer, which become its weight."""

    def __init__(self, source: Source, samples: Any, ends: Ends, params: Mapping[str, Any]) -> None:
        super().__init__(source, samples, ends, params)
        self._done: List[int] = []
        self._scores: List[torch.Tensor] = []

    def weights(self, scores: torch.Tensor) -> torch.Tensor:
        """Of the channels whose scores are these."""
        raise NotImplementedError

    def add(self, shot: Shot) -> None:
        self._done.extend(shot.indices)
        self._scores.append(shot.scores)

    def sum(self) -> torch.Tensor:
        """Of the channels that were added, each by its weight."""
        assert self.source.activation is not None
        channels = self.source.activation[self._done]
        scores = torch.cat(self._scores) if self._scores else channels.new_zeros(0)
        return (self.weights(scores)[:, None, None] * channels).sum(dim=0)

    def map(self) -> Map:
        return Map(self.sum().relu(), signed=False)


class LayerPathSum(Tally):
    """A sum over the steps of a path of what the explained layer gave in each. Where a step tells
    of itself alone, shares of the path add up."""

    def __init__(self, source: Source, samples: Any, ends: Ends, params: Mapping[str, Any]) -> None:
        super().__init__(source, samples, ends, params)
        self._total: Optional[torch.Tensor] = None
        self._way = 0.0

    def step(self, shot: Shot) -> torch.Tensor:
        """What these images add, [channels, height, width]."""
        raise NotImplementedError

    def add(self, shot: Shot) -> None:
        added = self.step(shot)
        self._total = added if self._total is None else self._total + added
        self._way += self.samples.share_of_way(shot.indices)

    def share(self) -> Map:
        """Before the first step it is a single 0, for how large the layer's map is nobody knows."""
        total = torch.zeros(1, 1) if self._total is None else self._total.sum(dim=0)
        return Map(total, signed=True, weight=one_weight(self._way))

    def map(self) -> Map:
        assert self._total is not None
        return Map(self._total.sum(dim=0), signed=True)


def one_weight(number: float) -> torch.Tensor:
    """What a share of the work counts, the same all over its map."""
    return torch.full((1, 1), float(number), dtype=torch.float64)


def over_colours(values: torch.Tensor, params: Mapping[str, Any]) -> torch.Tensor:
    """[C, H, W] kept or summed, as the caller's `per_channel` says."""
    return values if params["per_channel"] else values.sum(dim=0)
