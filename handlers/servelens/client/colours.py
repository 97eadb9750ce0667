"""Which number gets which of a palette's colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from servelens.palettes import LEVELS

# Maps of the input have a few pixels far above all others, which would leave the rest dark.
MANY_VALUES = 10_000
CLIPPED_AT = 99.5

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Scale:
    """From which number to which the colours reach; symmetric about zero where the map is signed.

    A map that is called unsigned and has numbers below zero all the same is coloured as a signed
    one, for nothing may be hidden. `low` and `high` are what the map really has.
    """

    low: float
    high: float
    end: float
    signed: bool

    @classmethod
    def of(cls, plane: Numbers, *, signed: bool) -> Scale:
        if not plane.size:
            return cls(0.0, 0.0, 0.0, signed)
        low, high = float(plane.min()), float(plane.max())
        sizes = np.abs(plane)
        end = float(sizes.max())
        if plane.size >= MANY_VALUES:
            end = float(np.percentile(sizes, CLIPPED_AT)) or end
        return cls(low, high, end, signed or low < 0)

    @classmethod
    def shared(cls, scales: Sequence[Scale]) -> Scale:
        """One for several maps, so that a colour is the same number in each."""
        return cls(
            min(scale.low for scale in scales),
            max(scale.high for scale in scales),
            max(scale.end for scale in scales),
            any(scale.signed for scale in scales),
        )

    @property
    def is_zero(self) -> bool:
        return self.low == self.high == 0

    @property
    def is_clipped(self) -> bool:
        return self.end < max(-self.low, self.high)

    @property
    def start(self) -> float:
        return -self.end if self.signed else 0.0

    def levels(self, plane: Numbers) -> Numbers:
        """Each number's place in the palette, as bytes."""
        if self.end == 0:
            return np.full(plane.shape, LEVELS // 2 if self.signed else 0, np.uint8)
        share = (plane.astype(np.float64) - self.start) / (self.end - self.start)
        return (np.clip(share, 0, 1) * (LEVELS - 1)).round().astype(np.uint8)

    def words(self) -> str:
        """The same for a person: what the numbers are, and where the colours end."""
        if self.is_zero:
            return "all zero"
        clipped = f", colours end at {self.end:.3g}" if self.is_clipped else ""
        kind = "blue below zero, red above" if self.signed else "unsigned"
        return f"{self.low:.3g} to {self.high:.3g}{clipped} ({kind})"


def as_plane(values: Numbers) -> Numbers:
    """A map as height by width: colour channels are summed, a list of numbers is one row."""
    if values.ndim < 2:
        return values.reshape(1, -1)
    return values.reshape(-1, *values.shape[-2:]).sum(axis=0) if values.ndim > 2 else values
