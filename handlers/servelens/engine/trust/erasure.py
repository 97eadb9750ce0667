"""The image with more and more of it blurred, in the order of a map, and the way back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, List, Mapping, Optional, Sequence

import numpy as np
import torch

from servelens.engine.jobs import MapAsk
from servelens.engine.kit import (
    Ends,
    Map,
    Samples,
    Series,
    Shape,
    Shot,
    Source,
    Tally,
    attribution,
    baseline_of,
)
from servelens.engine.targets import Chosen, Settled

STEPS = 16
INNER = STEPS - 1
# Deletion and insertion between their ends, which they share.
IMAGES = 2 * INNER


class ErasedImages(Samples):
    def __init__(self, source: Source, orders: Sequence[np.ndarray], blank: bool) -> None:
        self._input = source.input
        self._blurred = baseline_of("blur", source)
        self._orders = [torch.from_numpy(order).to(source.input.device) for order in orders]
        self.baseline = self._blurred if blank else None

    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        return torch.stack([self._image(*divmod(index, IMAGES)) for index in indices])

    def _image(self, order: int, step: int) -> torch.Tensor:
        shown, hidden = self._input, self._blurred
        if step >= INNER:
            shown, hidden, step = hidden, shown, step - INNER
        turns = self._orders[order]
        taken = turns < round(turns.numel() * (step + 1) / STEPS)
        return torch.where(taken, hidden, shown)


class Erasure(Series):
    """For each order the steps of its deletion, then those of its insertion; with `blank`, the
    image of which nothing is left. Each is a series of its own, however alike two may be."""

    def __init__(self, orders: Sequence[np.ndarray], *, blank: bool = False) -> None:
        self._orders = tuple(orders)
        self._blank = blank

    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        return IMAGES * len(self._orders)

    def scored_ends(self, params: Mapping[str, Any]) -> int:
        return int(self._blank)

    def lay_out(self, source: Source, params: Mapping[str, Any]) -> ErasedImages:
        return ErasedImages(source, self._orders, self._blank)

    def ask(self, targets: Sequence[Chosen]) -> MapAsk:
        """For what each target scores on each image."""
        return MapAsk(
            replace(DELETION_AND_INSERTION, series=self),
            {},
            None,
            tuple(Settled(target) for target in targets),
        )


class ErasureScores(Tally):
    """The score of each image; where there is a blank, that of it first. Petsiuk et al., 2018."""

    def __init__(
        self, source: Source, samples: Samples, ends: Ends, params: Mapping[str, Any]
    ) -> None:
        super().__init__(source, samples, ends, params)
        self._scores: List[float] = [] if ends.empty is None else [ends.empty]

    def add(self, shot: Shot) -> None:
        self._scores.extend(shot.scores.tolist())

    def map(self) -> Map:
        return Map(torch.tensor(self._scores, dtype=torch.float64), signed=False)


DELETION_AND_INSERTION = attribution(
    name="deletion and insertion",
    title="Deletion and insertion",
    family="trust",
    scope="input",
    signed=False,
    paper="https://arxiv.org/abs/1806.07421",
)(ErasureScores)
