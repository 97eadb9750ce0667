"""Trust cards: of each of a row's maps the checks that apply to it and that may be spent."""

from __future__ import annotations

from typing import Iterator, Sequence

from servelens.engine.faults import as_problem
from servelens.engine.findings import Event
from servelens.engine.thrift import Rates
from servelens.engine.trust.bench import Bench
from servelens.engine.trust.checks import CHECKS
from servelens.engine.trust.declare import Check
from servelens.engine.trust.scope import Purse, forwards_alone, over_bound, within_bound
from servelens.engine.trust.subject import Subject


def examine(bench: Bench, rates: Rates) -> Iterator[Event]:
    """Leaves a card for each map that was found."""
    job, found = bench.found.job, bench.found
    subjects = [
        Subject(job, index, chosen, found.maps[index, chosen])
        for index, ask in enumerate(job.maps)
        if not ask.ranks
        for chosen in ask.choose(found.ranking)
        if (index, chosen) in found.maps
    ]
    purse = Purse(job, rates)
    for check in CHECKS:
        yield from _make(check, bench, subjects, purse)
    for subject in subjects:
        found.cards[subject.index, subject.chosen] = subject.card()


def _make(check: Check, bench: Bench, subjects: Sequence[Subject], purse: Purse) -> Iterator[Event]:
    wanted = [subject for subject in subjects if _applies(check, bench, subject)]
    bought = purse.pay(check, wanted)
    for subject in wanted[len(bought) :]:
        subject.compare_all(check.names, purse.too_dear(check, subject))
    for subject in bought:
        subject.forwards += forwards_alone(check, bench.found.job, subject.ask)
    reason = ""
    try:
        if bought:
            yield from check.run(bench, bought)
    except Exception as error:  # of these numbers alone, also where memory ran out for one image
        reason = as_problem(error, f"{check.name} could not be checked").words
    for subject in bought:
        for number in check.numbers:
            found = subject.has(number.name)
            subject.compare(number.name, number.compared_with if found else reason)


def _applies(check: Check, bench: Bench, subject: Subject) -> bool:
    reason = check.why_not(bench, subject)
    if reason is None:
        forwards = forwards_alone(check, bench.found.job, subject.ask)
        if within_bound(bench.found.job, subject.forwards + forwards):
            return True
        reason = over_bound(forwards)
    subject.compare_all(check.names, reason)
    return False
