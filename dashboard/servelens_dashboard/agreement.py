"""What several models make of one photo: whether they agree, and look at the same places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from servelens.client import Prediction
from servelens_dashboard.figures.evidence import Evidence
from servelens_dashboard.figures.look import chance, percent


def verdict(models: Mapping[str, Sequence[Prediction]]) -> str:
    best = {name: predictions[0] for name, predictions in models.items() if predictions}
    said = ", ".join(f"{name} says {p.label} ({chance(p.probability)})" for name, p in best.items())
    labels = {prediction.label for prediction in best.values()}
    if len(best) < 2:
        return f"{said}." if said else ""
    if len(labels) == 1:
        everyone = "Both" if len(best) == 2 else f"All {len(best)}"
        return f"{everyone} models say {labels.pop()}."
    return f"They disagree: {said}."


def overlap(one: Evidence, other: Evidence) -> float:
    """The share of their evidence, 0 to 1, that both have in the same places; as large ones."""
    if not (one.total > 0 and other.total > 0):
        return 0.0
    return float(np.minimum(one.values / one.total, other.values / other.total).sum())


def same_places(maps: Mapping[str, Evidence]) -> str:
    """How far each model's evidence lies where the first one's does."""
    (first, here), *others = maps.items()
    shares = [
        f"{percent(overlap(here, there))} of {name}'s"
        for name, there in others
        if there.values.shape == here.values.shape
    ]
    if not shares:
        return ""
    return f"Where {first} has its evidence lies {' and '.join(shares)}."
