"""Comparing two ways of doing the same work on a machine that is never quiet.

The two are run in turn, A B A B …, in one process group, and what is reported is the median of the
ratios of neighbours: what slows the machine for a while slows both of a pair.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True)
class Comparison:
    """Seconds of each run, pair by pair."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs, per pair."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def ours_ms(self) -> float:
        return statistics.median(self.ours) * 1000

    @property
    def theirs_ms(self) -> float:
        return statistics.median(self.theirs) * 1000

    def spread(self) -> str:
        """The middle half of the ratios, so that a reader sees how sure the median is."""
        low, _, high = statistics.quantiles(self.ratios, n=4)
        return f"{low:.2f}–{high:.2f}"


def compare(ours: Work, theirs: Work, *, pairs: int, warm_up: int = 3) -> Comparison:
    for _ in range(warm_up):
        ours()
        theirs()
    times = [(_seconds(ours), _seconds(theirs)) for _ in range(pairs)]
    return Comparison(tuple(a for a, _ in times), tuple(b for _, b in times))


def _seconds(work: Work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
