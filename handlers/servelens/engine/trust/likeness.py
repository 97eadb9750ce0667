"""How alike two maps are: Spearman's rank correlation of their values.

Ranks, because what a reader takes from a map is which places are above which, and because the
gradients of a model of random weights may be of any size at all: no scale has to be agreed on, and
a few high peaks decide as little as they do for the eye.
"""

from __future__ import annotations

import numpy as np


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """From -1 to 1. A map that is the same everywhere is like no other: 0."""
    first, second = (ranks(values.ravel()) for values in (one, other))
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum() / size) if size else 0.0


def ranks(values: np.ndarray) -> np.ndarray:
    """Equal values share the mean of their ranks."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: np.ndarray = last - (counts - 1) / 2
    return mean[group.ravel()]
