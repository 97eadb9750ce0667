"""Whether a photo that looks the same has the same map."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterator, Sequence, Tuple

import numpy as np

from servelens.engine.findings import Event
from servelens.engine.folder.card import InputSpec
from servelens.engine.geometry import View, with_noise
from servelens.engine.jobs import Job
from servelens.engine.trust.bench import Bench
from servelens.engine.trust.declare import Number, check
from servelens.engine.trust.reruns import likenesses, once_more, passes_of, why_not
from servelens.engine.trust.subject import Subject

RUNS = 2
# Levels of 255, as a camera's sensor makes in poor light; hardly to be seen.
NOISE = 5.0


def _passes(job: Job) -> Tuple[int, int]:
    return passes_of(job, RUNS)


@check(
    name="stability",
    numbers=(Number("stability", "1, a map that noise does not change", "higher", min=-1.0),),
    why_not=why_not,
    passes=_passes,
)
def stability(bench: Bench, subjects: Sequence[Subject]) -> Iterator[Event]:
    """How like the map stays under slight noise on the photo: rank correlation, the mean of two."""
    job, spec = once_more(bench.found.job, subjects), bench.model.card.input
    runs = [
        (bench.model, replace(job, view=noisy(job.view, job.request.seed, run, spec)))
        for run in range(RUNS)
    ]
    alike = yield from likenesses(bench, "stability", subjects, runs)
    for subject, found in alike.items():
        subject.note("stability", float(np.mean(found)))


def noisy(view: View, seed: int, run: int, spec: InputSpec) -> View:
    noise = np.random.default_rng((seed, run)).normal(0, NOISE, view.pixels.shape)
    return with_noise(view, noise, spec)
