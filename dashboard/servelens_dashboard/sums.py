"""A map that comes in parts: what its parts add up to, as far as they have come.

Parts come as sums and weights; only their running sum is kept, however many there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from servelens.client import Attribution, Result
from servelens.protocol import Cost, to_wire


@dataclass(frozen=True)
class Sum:
    """`first` says whose map it is, and what the model predicts; its own map is none of the sum."""

    first: Result
    # Of a share that no image fell to, a map may be a single 0.
    maps: Any = 0.0
    weights: Any = 0.0
    delta: float | None = None
    forwards: int = 0
    backwards: int = 0
    compute_ms: float = 0.0

    @classmethod
    def after(cls, first: Result) -> Sum:
        return cls(first)._spent(first.cost)

    def plus(self, part: Result) -> Sum:
        entry = part.attributions[0]
        delta = entry.convergence_delta
        grown = replace(
            self,
            maps=self.maps + np.asarray(entry.map, np.float64),
            weights=self.weights + _weight(entry),
            delta=self.delta if delta is None else (self.delta or 0.0) + delta,
        )
        return grown._spent(part.cost)

    def result(self, request: Mapping[str, Any]) -> Result:
        """As if `request` had been asked for as a whole; where no part has looked yet, 0."""
        first, shown = self.first, self.first.attributions[0]
        shape = np.broadcast_shapes(np.shape(self.maps), shown.to_numpy().shape)
        maps = np.broadcast_to(self.maps, shape)
        weights = np.broadcast_to(self.weights, shape)
        whole = np.divide(maps, weights, out=np.zeros(shape), where=weights > 0)
        heaviest = weights.max()
        document = to_wire(first.document)
        document["attributions"][0].update(
            map=whole if shown.signed else np.maximum(whole, 0),
            weight=None,
            convergence_delta=None if self.delta is None or not heaviest else self.delta / heaviest,
        )
        document["cost"].pop("whole", None)
        document["cost"].update(
            forwards=self.forwards,
            backwards=self.backwards,
            ms={"compute": self.compute_ms},
        )
        return Result.of(document, first.origin.photo if first.origin else None, request)

    def _spent(self, cost: Cost) -> Sum:
        return replace(
            self,
            forwards=self.forwards + cost.forwards,
            backwards=self.backwards + cost.backwards,
            compute_ms=self.compute_ms + cost.ms.get("compute", 0.0),
        )


def _weight(entry: Attribution) -> Any:
    """As large as the map; some methods have one number for all of it."""
    return 0.0 if entry.weight is None else np.asarray(entry.weight, np.float64)
