"""Whether the map adds up to what it promises to explain."""

from __future__ import annotations

from typing import Iterator, Optional, Sequence

from servelens.engine.findings import Event
from servelens.engine.trust.bench import Bench
from servelens.engine.trust.declare import Number, check
from servelens.engine.trust.subject import Subject


def _why_not(bench: Bench, subject: Subject) -> Optional[str]:
    if not subject.ask.method.complete or subject.found.delta is None:
        return f"{subject.ask.method.name} does not promise to add up"
    if _promised(subject) == 0:
        return "the score that is to be added up to is 0"
    return None


def _promised(subject: Subject) -> float:
    assert subject.found.delta is not None
    return float(subject.values.sum(dtype="float64")) - subject.found.delta


@check(
    name="completeness",
    numbers=(Number("completeness", "0, a map that adds up exactly", "lower", max=None),),
    why_not=_why_not,
)
def completeness(bench: Bench, subjects: Sequence[Subject]) -> Iterator[Event]:
    """By how much the map's sum misses what it should be, as a share of that."""
    for subject in subjects:
        assert subject.found.delta is not None
        miss = abs(subject.found.delta / _promised(subject))
        subject.note("completeness", miss)
    yield from ()
