"""Deletion and insertion: what becomes of the class as the map's best places go, or come first.

The pixels are taken in sixteen equal shares, the map's highest first. Deleting blurs them, while
inserting brings them back into the blurred image. So that a map is judged by its order, and not by
what erasing does to a network, a random map goes the same way: one of the same places, for a
coarse map is no match for fine noise. What maps have in common, both ends and the random map of
their places, is run once.
"""

from __future__ import annotations

from typing import Dict, Generator, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from servelens.engine.findings import Event
from servelens.engine.jobs import Job, MapAsk, distinct
from servelens.engine.kit import Shape
from servelens.engine.trust.bench import Bench, excused, job_of, map_of
from servelens.engine.trust.declare import Number, check
from servelens.engine.trust.erasure import IMAGES, INNER, STEPS, Erasure
from servelens.engine.trust.likelihood import Likelihood
from servelens.engine.trust.places import on_input, order_of, random_map
from servelens.engine.trust.subject import DIGITS, SAME_EVERYWHERE, Subject
from servelens.protocol import TrustCurves

Scores = Dict[Likelihood, List[float]]


def _why_not(bench: Bench, subject: Subject) -> Optional[str]:
    if not bench.model.classes.are_probable:
        return "this model's answers are no probabilities"
    return SAME_EVERYWHERE if subject.is_flat else None


def _passes(job: Job) -> Tuple[int, int]:
    maps = sum(rule.count for ask in job.maps for rule in distinct(ask.rules))
    places = distinct(_places(ask, job) for ask in job.maps)
    return 1 + IMAGES * (maps + len(places)), 0


def _places(ask: MapAsk, job: Job) -> Shape:
    """Those that the method tells apart."""
    layer = ask.layer_shape
    return layer[1:] if layer is not None and len(layer) == 3 else job.image_shape[1:]


@check(
    name="deletion and insertion",
    numbers=(
        Number("deletion_auc", "random_deletion_auc", "lower"),
        Number("insertion_auc", "random_insertion_auc", "higher"),
        Number("random_deletion_auc", "deletion_auc; it is what chance gives", None),
        Number("random_insertion_auc", "insertion_auc; it is what chance gives", None),
    ),
    why_not=_why_not,
    passes=_passes,
)
def curves(bench: Bench, subjects: Sequence[Subject]) -> Iterator[Event]:
    """The class's mean probability while the map's highest places are blurred, or shown, first."""
    places = distinct(_places(subject.ask, bench.found.job) for subject in subjects)
    targets = distinct(_likelihood(bench, subject) for subject in subjects)
    common = yield from _scores(bench, _chance(bench, places), targets)
    for subject in subjects:
        with excused(subject, curves.names):
            target = _likelihood(bench, subject)
            erasure = Erasure([order_of(subject.heat, bench.found.job.request.seed)])
            own = (yield from _scores(bench, erasure, [target]))[target]
            blank, *chance = common[target]
            start = IMAGES * places.index(_places(subject.ask, bench.found.job))
            ends = float(target.score(bench.found.logits)), blank
            _write(subject, ends, own, chance[start : start + IMAGES])


def _likelihood(bench: Bench, subject: Subject) -> Likelihood:
    return Likelihood.of(subject.chosen, bench.model.classes)


def _chance(bench: Bench, places: Sequence[Shape]) -> Erasure:
    size, seed = bench.found.job.image_shape[1:], bench.found.job.request.seed
    heats = [on_input(random_map(shape, seed), size) for shape in places]
    return Erasure([order_of(heat, seed) for heat in heats], blank=True)


def _scores(
    bench: Bench, erasure: Erasure, targets: Sequence[Likelihood]
) -> Generator[Event, None, Scores]:
    found = yield from bench.series(job_of(bench.found.job, [erasure.ask(targets)]))
    return {target: map_of(found, 0, target).values.tolist() for target in targets}


def _write(
    subject: Subject, ends: Tuple[float, float], own: Sequence[float], chance: Sequence[float]
) -> None:
    whole, blank = ends
    found = {
        "deletion": [whole, *own[:INNER], blank],
        "insertion": [blank, *own[INNER:], whole],
        "random_deletion": [whole, *chance[:INNER], blank],
        "random_insertion": [blank, *chance[INNER:], whole],
    }
    for name, curve in found.items():
        subject.note(f"{name}_auc", area(curve))
    subject.curves = TrustCurves(
        **{name: tuple(round(p, DIGITS) for p in curve) for name, curve in found.items()}
    )


def area(curve: Sequence[float]) -> float:
    """Under the straight lines from step to step, the whole way counting as 1."""
    heights = np.asarray(curve)
    return float((heights[1:] + heights[:-1]).sum() / (2 * STEPS))
