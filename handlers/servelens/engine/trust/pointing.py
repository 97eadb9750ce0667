"""The pointing game, where it is known what the class is to be seen by."""

from __future__ import annotations

from typing import Iterator, Optional, Sequence

import numpy as np

from servelens.engine.findings import Event
from servelens.engine.trust.bench import Bench
from servelens.engine.trust.declare import Number, check
from servelens.engine.trust.masks import SHARE_OF_MASK, compare_with_area, mask_of, why_no_mask
from servelens.engine.trust.subject import SAME_EVERYWHERE, Subject

# Of the map's range: what rounding may have taken from a place that is as high as the highest.
AS_HIGH = 1e-6


def _why_not(bench: Bench, subject: Subject) -> Optional[str]:
    return why_no_mask(bench) or (SAME_EVERYWHERE if subject.is_flat else None)


@check(
    name="pointing",
    numbers=(Number("pointing", SHARE_OF_MASK, "higher"),),
    why_not=_why_not,
)
def pointing(bench: Bench, subjects: Sequence[Subject]) -> Iterator[Event]:
    """Whether the map is highest inside the mask: 1 or 0, or between where places tie."""
    mask = mask_of(bench)
    for subject in subjects:
        subject.note("pointing", points_into(subject.heat, mask))
        compare_with_area(subject, "pointing", mask)
    yield from ()


def points_into(heat: np.ndarray, mask: np.ndarray) -> float:
    """Of the places that are as high as any, the share that lies in the mask."""
    highest, lowest = float(heat.max()), float(heat.min())
    return float(mask[heat >= highest - AS_HIGH * (highest - lowest)].mean())
