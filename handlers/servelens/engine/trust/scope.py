"""Which checks are made of which maps: a bound for each card, and the row's budget for them all.

A card is the same whichever maps stand beside it, so that it counts all images that its own numbers
rest on, those that it shares with other cards too. The budget is of time, which is spent but once.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import List, Sequence

from servelens.engine.jobs import Job, MapAsk
from servelens.engine.targets import ByIndex
from servelens.engine.thrift import Rates
from servelens.engine.trust.bench import job_of
from servelens.engine.trust.checks import CHECKS
from servelens.engine.trust.declare import Check
from servelens.engine.trust.reruns import once_more
from servelens.engine.trust.subject import Subject

# Images forward for one card, unless all that there is to know is asked for.
MOST_FORWARDS = 100
ANY_CLASS = ByIndex(0)


def forwards_alone(check: Check, job: Job, ask: MapAsk) -> int:
    """Images that the check takes of one map of this ask."""
    forwards, _ = check.passes(job_of(job, [replace(ask, rules=(ANY_CLASS,))]))
    return forwards


def within_bound(job: Job, forwards: int) -> bool:
    return job.request.trust == "full" or forwards <= MOST_FORWARDS


def over_bound(forwards: int) -> str:
    return (
        f"it takes {forwards} images more, and a card keeps to {MOST_FORWARDS} in all; "
        'ask for trust: "full"'
    )


def most_passes(job: Job) -> int:
    """Images through the model and back for all cards of a job, at most."""
    carded = job.maps if job.request.trust else ()
    asks = [ask for ask in carded if ask.runs and not ask.ranks]
    total, spent = 0, [0] * len(asks)
    for check in CHECKS:
        made: List[MapAsk] = []
        for place, ask in enumerate(asks):
            forwards = spent[place] + forwards_alone(check, job, ask)
            if within_bound(job, forwards):
                spent[place] = forwards
                made.append(ask)
        total += sum(check.passes(job_of(job, made))) if made else 0
    return total


class Purse:
    """What a row's budget has left when its maps are made."""

    def __init__(self, job: Job, rates: Rates) -> None:
        budget = job.request.budget_ms
        self._job = job
        self._rates = rates
        self._left = None if budget is None else budget - rates.estimate(job).total_ms

    def pay(self, check: Check, subjects: Sequence[Subject]) -> Sequence[Subject]:
        """As many of the subjects, in their order, as the check can still be made of."""
        if self._left is None:
            return subjects
        fewest, most = 0, len(subjects)
        while fewest < most:
            middle = (fewest + most + 1) // 2
            if self._ms(check, subjects[:middle]) <= self._left:
                fewest = middle
            else:
                most = middle - 1
        bought = subjects[:most]
        self._left -= self._ms(check, bought)
        return bought

    def too_dear(self, check: Check, subject: Subject) -> str:
        assert self._left is not None
        return (
            f"it would take about {math.ceil(self._ms(check, [subject]))} ms, and the budget has "
            f"{self._left:.0f} ms left; give a larger budget_ms, or ask for a stream"
        )

    def _ms(self, check: Check, subjects: Sequence[Subject]) -> float:
        if not subjects:
            return 0.0
        return self._rates.in_chunks_ms(*check.passes(once_more(self._job, subjects)))
