"""What checks work with: the model, the row's findings, and the plan's own ways to run a job."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Callable, Generator, Iterable, Iterator, Sequence, Tuple

import torch

from servelens.engine.budget import PATIENCE, Pace, check_time
from servelens.engine.findings import Event, Findings, Finished, FoundMap, Progress
from servelens.engine.jobs import Job, MapAsk
from servelens.engine.model import Model
from servelens.engine.sampling import run_series
from servelens.engine.targets import Chosen
from servelens.engine.trust.subject import Subject
from servelens.protocol import Problem, ProblemError


@dataclass(frozen=True)
class Bench:
    """`run` is the plan's, on any model of the same pace; `modules` are the names of the model's
    in the order in which they answer; `started` is when the row's own work began."""

    model: Model
    found: Findings
    image: torch.Tensor
    pace: Pace
    run: Callable[[Model, Job], Iterator[Event]]
    modules: Tuple[str, ...]
    started: float

    def again(self, name: str, model: Model, job: Job) -> Generator[Event, None, Findings]:
        """The job, from its photo on; raises what became of it where that is a problem."""
        outcome = None
        for event in self.run(model, self._timed(job)):
            if isinstance(event, Progress):
                yield replace(event, text=name)
            elif isinstance(event, Finished):
                outcome = event.outcome
        if isinstance(outcome, Problem):
            raise ProblemError(outcome)
        assert outcome is not None
        self._count(outcome)
        return outcome

    def series(self, job: Job) -> Generator[Event, None, Findings]:
        """The job's series alone, beginning where the row's shared pass ended."""
        found = Findings(self._timed(job), self.found.ranked, self.found.logits, forwards=0)
        try:
            for event in run_series(self.model, found, self.image, self.pace):
                if isinstance(event, Progress):
                    yield event
        finally:
            self._count(found)
        return found

    def _timed(self, job: Job) -> Job:
        """What is left of the row's time is all that the job has."""
        limit = self.found.job.time_limit_ms
        if limit is None:
            return job
        spent = (time.perf_counter() - self.started) * 1000
        check_time(spent, limit)
        return replace(job, request=replace(job.request, budget_ms=(limit - spent) / PATIENCE))

    def _count(self, found: Findings) -> None:
        self.found.forwards += found.forwards
        self.found.backwards += found.backwards


def job_of(job: Job, maps: Sequence[MapAsk]) -> Job:
    """These maps of the same photo, and nothing else that the row asks."""
    request = replace(
        job.request, trust=False, activations=None, stream=False, budget_ms=None, part=None
    )
    return replace(
        job, request=request, rules=(), maps=tuple(maps), activations=(), weights=(), further=()
    )


def map_of(found: Findings, place: int, chosen: Chosen) -> FoundMap:
    """What the ask at `place` found of it; raises the trouble that it had."""
    if (place, chosen) not in found.maps:
        raise ProblemError(found.troubles[place, chosen])
    return found.maps[place, chosen]


@contextmanager
def excused(subject: Subject, numbers: Iterable[str]) -> Iterator[None]:
    """What fails inside costs this map these numbers, and no other map anything."""
    try:
        yield
    except ProblemError as error:
        subject.compare_all(numbers, error.problem.words)
