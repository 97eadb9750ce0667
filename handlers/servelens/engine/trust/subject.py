"""One map under examination, and the card that is written for it."""

from __future__ import annotations

from functools import cached_property
from typing import Dict, Iterable, Optional

import numpy as np

from servelens.engine.findings import FoundMap
from servelens.engine.jobs import Job, MapAsk
from servelens.engine.targets import Chosen
from servelens.engine.trust.places import on_input, over_colours
from servelens.protocol import TrustCard, TrustCurves

# No probability or share is worth more digits.
DIGITS = 6
SAME_EVERYWHERE = "the map is the same everywhere"


class Subject:
    """A map, what it answers, and what was found out about it so far."""

    def __init__(self, job: Job, index: int, chosen: Chosen, found: FoundMap) -> None:
        self.index = index
        self.chosen = chosen
        self.found = found
        self.ask: MapAsk = job.maps[index]
        self.forwards = 0
        self.curves: Optional[TrustCurves] = None
        self._size = job.image_shape[1:]
        self._numbers: Dict[str, float] = {}
        self._compared_with: Dict[str, str] = {}

    @property
    def values(self) -> np.ndarray:
        return self.found.values

    @cached_property
    def heat(self) -> np.ndarray:
        """[H, W] over the model's input."""
        return on_input(self.values, self._size)

    @cached_property
    def is_flat(self) -> bool:
        """Asked of the map itself: scaled up, what was equal differs by rounding."""
        summed = over_colours(self.values)
        return bool(summed.min() == summed.max())

    def note(self, name: str, value: float) -> None:
        self._numbers[name] = round(value, DIGITS)

    def compare(self, name: str, compared_with: str) -> None:
        """What to hold a number against, or, where there is none, why."""
        self._compared_with.setdefault(name, compared_with)

    def compare_all(self, names: Iterable[str], reason: str) -> None:
        for name in names:
            self.compare(name, reason)

    def has(self, name: str) -> bool:
        return name in self._numbers

    def card(self) -> TrustCard:
        return TrustCard(
            **self._numbers,
            curves=self.curves,
            compared_with=self._compared_with,
            forwards=self.forwards,
        )
