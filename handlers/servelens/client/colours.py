"""What number gets what colour: cividis from zero up, or blue to red with white at zero.

Both are told apart by people who do not see red and green, and grow evenly from dark to light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Matplotlib's cividis at 33 places, and ColorBrewer's RdBu from its blue end.
CIVIDIS = """
00224e 00285b 002e6a 053371 1a386f 273e6e 32436d 3b496c 434e6c 4b546c 535a6d 5a5f6e 61656f 686a71
6f7073 767676 7d7c78 848279 8c8878 938e78 9b9476 a39a74 aba072 b4a76f bcae6c c4b468 cdbb63 d5c25e
dec958 e7d150 f0d846 f9e03a fee838
"""
BLUE_RED = "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f"
LEVELS = 256

# Maps of the input have a few pixels far above all others, which would leave the rest dark.
MANY_VALUES = 10_000
CLIPPED_AT = 99.5

Numbers = NDArray[Any]


def palette(*, signed: bool) -> Numbers:
    """256 colours, as [256, 3] bytes."""
    return graded((BLUE_RED if signed else CIVIDIS).split())


def graded(colours: Sequence[str]) -> Numbers:
    """256 colours, evenly from the first of these to the last ("00224e")."""
    anchors = np.array([list(bytes.fromhex(colour)) for colour in colours])
    places = np.linspace(0, 1, len(anchors))
    wanted = np.linspace(0, 1, LEVELS)
    channels = [np.interp(wanted, places, anchors[:, i]) for i in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


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
