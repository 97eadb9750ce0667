"""Checks that have the same maps made once more, of another image or by another model."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, Generator, Iterable, List, Optional, Sequence, Tuple

from servelens.engine.findings import Event
from servelens.engine.jobs import Job
from servelens.engine.model import Model
from servelens.engine.targets import Settled
from servelens.engine.thrift import passes_of_job
from servelens.engine.trust.bench import Bench, excused, job_of, map_of
from servelens.engine.trust.likeness import likeness
from servelens.engine.trust.subject import SAME_EVERYWHERE, Subject

Likenesses = Dict[Subject, List[float]]


def why_not(bench: Bench, subject: Subject) -> Optional[str]:
    return SAME_EVERYWHERE if subject.is_flat else None


def passes_of(job: Job, times: int) -> Tuple[int, int]:
    """The maps of a row share passes with each other in each run, as they did in the first."""
    forwards, backwards = passes_of_job(job)
    return times * forwards, times * backwards


def likenesses(
    bench: Bench, name: str, subjects: Sequence[Subject], runs: Iterable[Tuple[Model, Job]]
) -> Generator[Event, None, Likenesses]:
    """Of each subject's map to what each run makes of it, for the subjects whose maps all runs
    could make."""
    alike: Likenesses = {subject: [] for subject in subjects}
    made = 0
    for model, job in runs:
        made += 1
        found = yield from bench.again(name, model, job)
        for place, subject in enumerate(subjects):
            with excused(subject, [name]):
                again = map_of(found, place, subject.chosen)
                alike[subject].append(likeness(subject.found.values, again.values))
    return {subject: found for subject, found in alike.items() if len(found) == made}


def once_more(job: Job, subjects: Sequence[Subject]) -> Job:
    """The subjects' maps in their order, each of the class that it explains."""
    return job_of(job, [replace(s.ask, rules=(Settled(s.chosen),)) for s in subjects])
