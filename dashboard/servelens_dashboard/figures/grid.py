"""Where the channels of an atlas lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

GAP = 2
# As wide as a stage usually is, at two pixels of the picture for one of the screen.
WIDTH = 1280
DENSITY = 2
# A little wider than high, as the stage is.
ASPECT = 1.5
LARGEST, SMALLEST = 224, 12
LETTERS = 9 * DENSITY
# An atlas of so many numbers of a ReLU is less than 400 kB in a browser, be they noise; a channel's
# place in the picture weighs as much as some numbers, whatever is drawn there.
MOST_NUMBERS, A_PLACE = 216_000, 200
# About how wide a digit is, as a share of how high the letters are.
DIGIT = 0.62


@dataclass(frozen=True)
class Grid:
    """`cell` is (width, height) of a channel's picture, which shows the means of `shrink` by
    `shrink` numbers; `strip` is the height of the label under it, 0 for none; `gap` lies between
    two of them."""

    count: int
    columns: int
    cell: tuple[int, int]
    shrink: int
    strip: int
    gap: int = GAP

    @classmethod
    def of(cls, shape: tuple[int, ...], largest: int, across: int = WIDTH) -> Grid:
        """For maps [C, H, W], about so many pixels `across`; labels where the channels' largest
        number fits under a map."""
        count, height, width = shape
        columns = min(count, math.ceil(math.sqrt(count * ASPECT)))
        side = max(SMALLEST, min(LARGEST, across // columns - GAP))
        longest = max(height, width)
        cell = max(SMALLEST, side * width // longest), max(SMALLEST, side * height // longest)
        label = len(str(largest)) * DIGIT * LETTERS
        strip = LETTERS + 4 if label <= cell[0] else 0
        room = max(MOST_NUMBERS // 2, MOST_NUMBERS - A_PLACE * count)
        shrink = math.ceil(max(longest / side, math.sqrt(count * height * width / room)))
        return cls(count, columns, cell, shrink, strip)

    @property
    def rows(self) -> int:
        return math.ceil(self.count / self.columns)

    @property
    def pitch(self) -> tuple[int, int]:
        """From one channel to the next, right and down."""
        return self.cell[0] + self.gap, self.cell[1] + self.strip + self.gap

    @property
    def size(self) -> tuple[int, int]:
        return self.columns * self.pitch[0], self.rows * self.pitch[1]

    def box(self, position: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the picture at a position, its label not counted."""
        row, column = divmod(position, self.columns)
        left, top = column * self.pitch[0], row * self.pitch[1]
        return left, top, left + self.cell[0], top + self.cell[1]
