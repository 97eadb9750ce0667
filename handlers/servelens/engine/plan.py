"""The fewest passes that answer a batch.

Jobs that can share passes are grouped: those that only predict, those that also record, and those
that need gradients, the last apart by how far back and how often they go, so that no row pays for
what another asked. Groups run in chunks of calibrated size. A chunk that fails is halved until it
passes, or until the one row that is to blame stands alone. Maps that take images of their own come
after the passes that are shared, one row at a time, in chunks of their own.
"""

from __future__ import annotations

import copy
import enum
import time
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Mapping, Sequence

import torch

from servelens.engine.budget import Pace, calibrate, is_out_of_memory, release_memory
from servelens.engine.faults import as_problem
from servelens.engine.findings import Event, Findings, Finished
from servelens.engine.further.answering import run_further
from servelens.engine.jobs import Job
from servelens.engine.kit import Reads, Shape
from servelens.engine.model import Model
from servelens.engine.passes import explore, predict
from servelens.engine.sampling import run_series
from servelens.engine.tape import record
from servelens.engine.thrift import BACKWARD, Rates, within_budget
from servelens.engine.trust import Bench, examine

# Of the largest logit: more than rounding makes of a deep network in a batch of another size.
SAME_ANSWER = 1e-3


class Lane(enum.Enum):
    """What a group's passes must leave behind."""

    PREDICT = "predict"
    RECORD = "record"
    EXPLAIN = "explain"


Runner = Callable[[Model, Sequence[Job], torch.Tensor], Iterator[Event]]
RUNNERS: Mapping[Lane, Runner] = {
    Lane.PREDICT: predict,
    Lane.RECORD: explore,
    Lane.EXPLAIN: explore,
}


@dataclass(frozen=True)
class Group:
    """What jobs must agree on to share passes."""

    lane: Lane
    shape: Shape
    of_input: bool = False
    backwards: int = 0
    ruled: bool = False

    @classmethod
    def of(cls, job: Job) -> Group:
        if job.needs_gradients:
            ruled = job.reads(Reads.RULED_GRADIENT)
            needs = job.needs_input_gradient, job.most_backwards, ruled
            return cls(Lane.EXPLAIN, job.image_shape, *needs)
        # A series compares its images' scores with the row's own, which must be as precise.
        runs = job.recorded or any(ask.runs for ask in job.maps)
        return cls(Lane.RECORD if runs else Lane.PREDICT, job.image_shape)


class Plan:
    """Runs jobs on one model, each lane at the pace that was measured for it."""

    def __init__(self, model: Model, modules: Sequence[str]) -> None:
        """`modules` are named in the order in which they answer."""
        self._model = model
        self._modules = tuple(modules)
        explaining = calibrate(self._trial_explanation, model.device)
        # The trial made one forward and one backward pass.
        forward = 1 / (1 + BACKWARD)
        self._rates = Rates(explaining.ms_per_image * forward, explaining.ms_in_chunk * forward)
        self._paces: Dict[Lane, Pace] = {
            Lane.PREDICT: calibrate(self._trial_prediction, model.device),
            Lane.RECORD: Pace(explaining.chunk),
            Lane.EXPLAIN: explaining,
        }
        if not self._rows_stand_alone():
            for pace in self._paces.values():
                pace.lower_to(1)

    def afford(self, job: Job) -> Job:
        """The job as its budget allows it; raises over_budget where nothing of it fits."""
        return within_budget(job, self._rates)

    @property
    def memory_retries(self) -> int:
        """How often memory ran out since the model was loaded, and fewer images were tried."""
        return sum(pace.retries for pace in self._paces.values())

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """One Finished for each job, in any order, with what happens on the way to them."""
        groups: Dict[Group, List[Job]] = {}
        for job in jobs:
            if job.has_image:
                groups.setdefault(Group.of(job), []).append(job)
            else:
                yield Finished(job, Findings(job, (), torch.empty(0), forwards=0))
        for group, members in groups.items():
            chunk = self._paces[group.lane].chunk
            for start in range(0, len(members), chunk):
                for event in self._run_chunk(group.lane, members[start : start + chunk]):
                    if isinstance(event, Finished) and isinstance(event.outcome, Findings):
                        yield from self._run_further(event.outcome)
                    yield event

    def _run_further(self, found: Findings) -> Iterator[Event]:
        """What one row asks beyond the shared passes; each map answers for its own failure."""
        job = found.job
        if not (job.own_asks or job.further or job.request.trust):
            return
        started = time.perf_counter()
        (image,) = self._model.batch([found.job.view])
        pace = self._paces[Lane.EXPLAIN]
        yield from run_series(self._model, found, image, pace)
        yield from run_further(self._model, found, image, pace, started)
        if job.request.trust:
            bench = Bench(self._model, found, image, pace, self._run_on, self._modules, started)
            yield from examine(bench, self._rates)
        found.compute_ms += (time.perf_counter() - started) * 1000

    def _run_on(self, model: Model, job: Job) -> Iterator[Event]:
        """The job on another model of the same pace."""
        other = copy.copy(self)
        other._model = model
        return other.run([job])

    def _run_chunk(self, lane: Lane, jobs: Sequence[Job]) -> Iterator[Event]:
        try:
            batch = self._model.batch([job.view for job in jobs])
            yield from RUNNERS[lane](self._model, jobs, batch)
            return
        except Exception as error:
            # Only its verdict is kept: the traceback holds the tensors that memory ran out for.
            ran_out = is_out_of_memory(error)
            alone = len(jobs) == 1
            failure = as_problem(error, "the model failed on this image") if alone else None
        if failure is not None:
            yield Finished(jobs[0], failure)
            return
        half = len(jobs) // 2
        if ran_out:
            self._paces[lane].retry_with(half)
            release_memory(self._model.device)
        yield from self._run_chunk(lane, jobs[:half])
        yield from self._run_chunk(lane, jobs[half:])

    def _rows_stand_alone(self) -> bool:
        """Whether a row is answered alike beside others. Where norms take their statistics from
        the batch, or random numbers are drawn for all of it, no row may share a pass."""
        model, rows = self._model, self._model.example(2)
        module = model.explaining(())
        together = record(module, model.head, rows).output[1:]
        alone = record(module, model.head, rows[1:]).output
        return bool((together - alone).abs().max() <= SAME_ANSWER * alone.abs().max())

    def _trial_prediction(self, rows: int) -> None:
        self._model.predictor(self._model.example(rows))

    def _trial_explanation(self, rows: int) -> None:
        model = self._model
        module, batch = model.explaining(()), model.example(rows)
        tape = record(module, model.head, batch, gradients=True, of_input=True)
        tape.gradients(lambda output: output.sum(), (), of_input=True, keep_graph=False)
