"""The mask of a request, as checks read it."""

from __future__ import annotations

from typing import Optional

import numpy as np

from servelens.engine.trust.bench import Bench
from servelens.engine.trust.subject import Subject

SHARE_OF_MASK = "the mask's share of the image"


def why_no_mask(bench: Bench) -> Optional[str]:
    mask = bench.found.job.mask
    if mask is None:
        return "the request has no mask"
    return None if mask.any() else "nothing of the mask lies in what the model sees"


def mask_of(bench: Bench) -> np.ndarray:
    mask = bench.found.job.mask
    assert mask is not None
    return mask


def compare_with_area(subject: Subject, name: str, mask: np.ndarray) -> None:
    """What a map that knows nothing would have."""
    subject.compare(name, f"{mask.mean():.4f}, {SHARE_OF_MASK}; higher is better")
