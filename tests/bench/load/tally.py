"""What became of the requests of a run, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Outcome:
    """`complaint` is empty where the answer was the right one."""

    kind: str
    seconds: float
    complaint: str = ""


@dataclass(frozen=True)
class Tally:
    """`busy` is the share of a core that the clients took of the machine while they ran."""

    outcomes: Sequence[Outcome]
    seconds: float
    busy: float

    def of(self, *kinds: str) -> Tally:
        chosen = [outcome for outcome in self.outcomes if outcome.kind in kinds]
        return Tally(chosen, self.seconds, self.busy)

    def without(self, is_meant: Callable[[str], bool]) -> Tally:
        """Less what was complained of for a reason that is meant."""
        chosen = [outcome for outcome in self.outcomes if not is_meant(outcome.complaint)]
        return Tally(chosen, self.seconds, self.busy)

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def complaints(self) -> Counter[str]:
        return Counter(one.complaint for one in self.outcomes if one.complaint)

    @property
    def named(self) -> str:
        """Every complaint with how often it was made."""
        return "; ".join(f"{count} × {what}" for what, count in self.complaints.most_common())

    @property
    def rate(self) -> float:
        return len(self) / self.seconds

    def percentile(self, percent: float) -> float:
        """Seconds of the right answers; no number where there was none."""
        right = [one.seconds for one in self.outcomes if not one.complaint]
        return float(np.percentile(right, percent)) if right else float("nan")

    @property
    def latency(self) -> str:
        """Milliseconds at the percentiles."""
        return " / ".join(f"{self.percentile(percent) * 1000:.0f}" for percent in PERCENTILES)
