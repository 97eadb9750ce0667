"""Series that run on the model unrolled, where relevance goes back by rules of its own.

Their images are what a method compares or starts from; each target of each image is a run of its
own, forward and back.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from typing import Any, ClassVar, Mapping, Optional, Sequence, Tuple

import torch
from torch import nn

from servelens.engine.kit.maps import Map
from servelens.engine.kit.series import Ends, Samples, Series, Shot, Source, Tally
from servelens.engine.kit.tallies import one_weight, over_colours
from servelens.engine.relevance import Relevance


class Propagation(enum.Enum):
    """How relevance goes back; a model is unrolled for one of them."""

    DEEP_LIFT = "deep_lift"
    LRP = "lrp"


class UnrolledSamples(Samples):
    @abstractmethod
    def relevance(
        self, unrolled: nn.Module, indices: Sequence[int], weights: torch.Tensor
    ) -> Relevance:
        """Of the row's image, once for each of these; `weights` make one target's score of the
        logits."""


class UnrolledSeries(Series):
    propagation: ClassVar[Propagation]
    # Images forward and back for each image and target.
    each: ClassVar[Tuple[int, int]]

    def passes(
        self, params: Mapping[str, Any], images: int, targets: int, *, back: bool
    ) -> Tuple[int, int]:
        forwards, backwards = self.each
        return images * targets * forwards, images * targets * backwards


class MeanRelevance(Tally):
    """The mean over the series of the pixels' relevance, and by how much it misses the score."""

    def __init__(self, source: Source, samples: Any, ends: Ends, params: Mapping[str, Any]) -> None:
        super().__init__(source, samples, ends, params)
        self._total = torch.zeros_like(source.input)
        self._scores = 0.0
        self._count = 0

    def add(self, shot: Shot) -> None:
        assert shot.relevance is not None
        self._total += shot.relevance.sum(0)
        self._scores += float(shot.scores.double().sum())
        self._count += len(shot.indices)

    def share(self) -> Map:
        delta = float(self._total.double().sum()) - self._scores
        values = over_colours(self._total, self.params)
        return Map(values, signed=True, weight=one_weight(self._count), delta=delta)

    def map(self) -> Map:
        values = self._total / self._count
        delta = float(values.double().sum()) - self._scores / self._count
        return Map(over_colours(values, self.params), signed=True, delta=delta)


def propagation_of(series: Optional[Series]) -> Optional[Propagation]:
    """None for a series that runs on the model itself."""
    return series.propagation if isinstance(series, UnrolledSeries) else None
