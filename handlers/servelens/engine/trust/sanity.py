"""Whether the map depends on what the model has learned: Adebayo's randomisation, cascading."""

from __future__ import annotations

from typing import Iterator, Optional, Sequence, Tuple

import numpy as np

from servelens.engine.findings import Event
from servelens.engine.jobs import Job
from servelens.engine.kit import propagation_of
from servelens.engine.trust import reruns
from servelens.engine.trust.bench import Bench
from servelens.engine.trust.declare import Number, check
from servelens.engine.trust.randomised import STAGES, randomised
from servelens.engine.trust.subject import Subject


def _why_not(bench: Bench, subject: Subject) -> Optional[str]:
    if next(bench.model.module.parameters(), None) is None:
        return "this model has no weights"
    if propagation_of(subject.ask.method.series) and bench.found.job.request.trust != "full":
        return 'each random model takes seconds to unroll; ask for trust: "full"'
    return reruns.why_not(bench, subject)


def _passes(job: Job) -> Tuple[int, int]:
    return reruns.passes_of(job, STAGES)


@check(
    name="sanity",
    numbers=(Number("sanity", "0, a map that depends on what the model has learned", "lower"),),
    why_not=_why_not,
    passes=_passes,
)
def sanity(bench: Bench, subjects: Sequence[Subject]) -> Iterator[Event]:
    """How like the map is to those of the model with random weights: rank correlation, its size.

    From the head backwards a third of the layers, two thirds and all of them forget what they
    learned; the mean of the three counts. A map turned upside down shows the same edges, so that
    the sign of a correlation does not matter. Adebayo et al., 2018.
    """
    job = reruns.once_more(bench.found.job, subjects)
    runs = ((model, job) for model in randomised(bench.model, bench.modules))
    alike = yield from reruns.likenesses(bench, "sanity", subjects, runs)
    for subject, found in alike.items():
        subject.note("sanity", float(np.abs(found).mean()))
