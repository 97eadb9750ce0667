"""What a job will cost, and how to make it cheaper where its budget is smaller.

The cost of a method is known from its declaration before any pass; time comes from the pace that
was measured when the model was loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Mapping, Tuple

from servelens.engine.budget import check_compute
from servelens.engine.jobs import Job, MapAsk
from servelens.engine.walks import passes_of, walks_of

# A backward pass costs about two forward ones.
BACKWARD = 2.0


@dataclass(frozen=True)
class Estimate:
    """Milliseconds: of the passes that nothing can make fewer, and of those that its series
    take."""

    fixed_ms: float
    series_ms: float

    @property
    def total_ms(self) -> float:
        return self.fixed_ms + self.series_ms


@dataclass(frozen=True)
class Rates:
    """Milliseconds for an image through the model alone, and in a whole chunk."""

    forward_ms: float
    forward_in_chunk_ms: float

    def estimate(self, job: Job) -> Estimate:
        fixed = self.forward_ms * (1 + BACKWARD * job.most_backwards) if job.has_image else 0.0
        fixed += sum(self.in_chunks_ms(*asked.passes) for asked in job.further)
        return Estimate(fixed, self.in_chunks_ms(*_of_series(job)))

    def in_chunks_ms(self, forwards: int, backwards: int) -> float:
        return self.forward_in_chunk_ms * (forwards + BACKWARD * backwards)


def passes_of_job(job: Job) -> Tuple[int, int]:
    """Images through the model and back for one job, at most."""
    own = [_of_series(job), *(asked.passes for asked in job.further)]
    forwards, backwards = (sum(passes) for passes in zip(*own))
    return 1 + forwards, job.most_backwards + backwards


def _of_series(job: Job) -> Tuple[int, int]:
    each = [passes_of(walk, asks, job) for walk, asks in walks_of(job).items()]
    return sum(forwards for forwards, _ in each), sum(backwards for _, backwards in each)


def within_budget(job: Job, rates: Rates) -> Job:
    """The job itself, or one whose series are thinner; raises over_budget where neither fits.

    A part is a share of agreed work, which the caller adds up with others: it is never thinned.
    """
    budget_ms = job.request.budget_ms
    estimate = rates.estimate(job)
    if budget_ms is None or estimate.total_ms <= budget_ms:
        return job
    room = (budget_ms - estimate.fixed_ms) / estimate.series_ms if estimate.series_ms else 0.0
    if room <= 0 or job.request.part is not None:
        check_compute(estimate.total_ms, budget_ms)
    thinner = replace(job, maps=tuple(_thinned(ask, room, job) for ask in job.maps))
    check_compute(rates.estimate(thinner).total_ms, budget_ms)
    return thinner


def _thinned(ask: MapAsk, room: float, job: Job) -> MapAsk:
    series = ask.method.series
    if series is None or not ask.runs:
        return ask
    count = series.count(ask.params, job.image_shape, ask.layer_shape)
    params = series.thin(ask.params, int(count * room), job.image_shape, ask.layer_shape)
    if params is None:
        return ask
    return replace(ask, params=params, coarsened=_changed(ask.params, params))


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Dict[str, Any]:
    """What was asked for and is not done."""
    return {name: value for name, value in before.items() if after[name] != value}
