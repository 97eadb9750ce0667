"""What stands beside every picture for those who do not see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Cell = str | int | float
Row = Mapping[str, Cell]


@dataclass(frozen=True)
class Twin:
    """A sentence, and the numbers as a table; every row has the same columns, in their order."""

    caption: str
    rows: tuple[Row, ...] = ()
