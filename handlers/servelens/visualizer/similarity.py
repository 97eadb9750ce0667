"""How alike two layers see the same images: linear centred kernel alignment (CKA).

Kornblith et al., Similarity of Neural Network Representations Revisited,
https://arxiv.org/abs/1905.00414. For features X [images, p] and Y [images, q] whose columns have
mean zero, and with Frobenius norms,

    CKA = |YᵀX|² / (|XᵀX| |YᵀY|)

is computed here from the Gram matrices XXᵀ and YYᵀ, for a layer has more features than there are
images. It is 1 for features that differ by a rotation and a scale. With few images it is high for
any two layers: take some hundreds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
FEWEST = 3


def similarities(ours: Sequence[Numbers], theirs: Sequence[Numbers]) -> Numbers:
    """Every layer of one model with every layer of another, as [ours, theirs]; features have a row
    for each image, and those that are the same on every image are NaN."""
    if not ours or not theirs or len({len(features) for features in (*ours, *theirs)}) != 1:
        raise ValueError("both models must have layers, and features of the same images")
    if len(ours[0]) < FEWEST:
        raise ValueError(f"similarity takes {FEWEST} images or more, not {len(ours[0])}")
    rows, columns = ([_centred_gram(x) for x in features] for features in (ours, theirs))
    return np.array([[_alignment(one, other) for other in columns] for one in rows])


def _centred_gram(features: Numbers) -> Numbers:
    flat = features.reshape(len(features), -1).astype(np.float64)
    flat -= flat.mean(axis=0)
    gram: Numbers = flat @ flat.T
    return gram


def _alignment(one: Numbers, other: Numbers) -> float:
    size = np.linalg.norm(one) * np.linalg.norm(other)
    return float((one * other).sum() / size) if size else float("nan")
