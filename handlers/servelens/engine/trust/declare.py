"""How a check is declared: what its numbers mean, what they cost, and how they are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator, Optional, Sequence, Tuple

from servelens.engine.findings import Event
from servelens.engine.jobs import Job
from servelens.engine.trust.bench import Bench
from servelens.engine.trust.subject import Subject
from servelens.protocol.capability import CheckFacts, NumberFacts

Run = Callable[[Bench, Sequence[Subject]], Iterator[Event]]


def free(job: Job) -> Tuple[int, int]:
    """The passes of a check that makes none."""
    return 0, 0


@dataclass(frozen=True)
class Number:
    """One of a card's numbers: its range, which way is better, and what to hold it against."""

    name: str
    against: str
    better: Optional[str]
    min: float = 0.0
    max: Optional[float] = 1.0

    @property
    def compared_with(self) -> str:
        return self.against if self.better is None else f"{self.against}; {self.better} is better"

    def describe(self) -> NumberFacts:
        return NumberFacts(self.name, self.min, self.max, self.better, self.compared_with)


@dataclass(frozen=True)
class Check:
    """One kind of evidence on maps.

    `numbers` are those of the card that it fills.
    `why_not` says why a map has none of them, `passes` how many images forward and back the maps of
    a job take, all together. `run` is for all maps that it applies to, so that they can share.
    """

    name: str
    summary: str
    numbers: Tuple[Number, ...]
    why_not: Callable[[Bench, Subject], Optional[str]]
    passes: Callable[[Job], Tuple[int, int]]
    run: Run

    @property
    def names(self) -> Tuple[str, ...]:
        return tuple(number.name for number in self.numbers)

    def describe(self) -> CheckFacts:
        numbers = tuple(number.describe() for number in self.numbers)
        return CheckFacts(self.name, self.summary, numbers)


def check(
    *,
    name: str,
    numbers: Tuple[Number, ...],
    why_not: Callable[[Bench, Subject], Optional[str]],
    passes: Callable[[Job], Tuple[int, int]] = free,
) -> Callable[[Run], Check]:
    """Turns the function below it into the Check that it declares; the first line of its docstring
    is the summary."""

    def declare(run: Run) -> Check:
        summary = (run.__doc__ or "").strip().splitlines()[0]
        return Check(name, summary, numbers, why_not, passes, run)

    return declare
