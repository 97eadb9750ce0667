"""How much of the map lies where the true cause is."""

from __future__ import annotations

from typing import Iterator, Optional, Sequence

import numpy as np

from servelens.engine.findings import Event
from servelens.engine.trust.bench import Bench
from servelens.engine.trust.declare import Number, check
from servelens.engine.trust.masks import SHARE_OF_MASK, compare_with_area, mask_of, why_no_mask
from servelens.engine.trust.subject import Subject


def _why_not(bench: Bench, subject: Subject) -> Optional[str]:
    positive = bool((subject.heat > 0).any())
    return why_no_mask(bench) or (None if positive else "nothing in the map is positive")


@check(
    name="mass",
    numbers=(Number("mass", SHARE_OF_MASK, "higher"),),
    why_not=_why_not,
)
def mass(bench: Bench, subjects: Sequence[Subject]) -> Iterator[Event]:
    """The share of what the map says for the class that it says inside the mask."""
    mask = mask_of(bench)
    for subject in subjects:
        subject.note("mass", mass_in(subject.heat, mask))
        compare_with_area(subject, "mass", mask)
    yield from ()


def mass_in(heat: np.ndarray, mask: np.ndarray) -> float:
    """Of the positive values, which in an unsigned map are all; what speaks against the class is
    no evidence of where it is."""
    positive = np.clip(heat.astype(np.float64), 0, None)
    return float(positive[mask].sum() / positive.sum())
