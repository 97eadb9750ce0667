"""The series that a row needs, each once for all that reads it.

Methods that share a series and its parameters share its passes: integrated gradients and the
conductance of three layers are one walk along the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from servelens.engine.jobs import Job, MapAsk, distinct
from servelens.engine.kit import Propagation, Reads, Series, Shape, propagation_of
from servelens.engine.layers import LayerRef


@dataclass(frozen=True)
class Walk:
    """One series with its parameters; where its images depend on a layer, with that too."""

    series: Series
    params: Tuple[Tuple[str, Any], ...]
    layer: Optional[LayerRef]
    layer_shape: Optional[Shape]

    @classmethod
    def of(cls, ask: MapAsk) -> Walk:
        series = ask.method.series
        assert series is not None
        own = tuple((param.name, ask.params[param.name]) for param in series.params)
        if series.of_layer:
            return cls(series, own, ask.layer, ask.layer_shape)
        return cls(series, own, None, None)

    def count(self, image: Shape) -> int:
        return self.series.count(dict(self.params), image, self.layer_shape)


def walks_of(job: Job) -> Dict[Walk, Dict[int, MapAsk]]:
    """Each walk, and by their place in the request the asks that it serves."""
    found: Dict[Walk, Dict[int, MapAsk]] = {}
    for index, ask in job.own_asks.items():
        if ask.method.series is not None:
            found.setdefault(Walk.of(ask), {})[index] = ask
    return found


def propagations_of(walks: Iterable[Walk]) -> Tuple[Propagation, ...]:
    """For which the model has to be unrolled."""
    found = (propagation_of(walk.series) for walk in walks)
    return distinct(propagation for propagation in found if propagation is not None)


def reads_of(asks: Mapping[int, MapAsk]) -> Reads:
    """What they read of each image, together."""
    reads = Reads.NOTHING
    for ask in asks.values():
        reads |= ask.method.reads_each
    return reads


def share_of(count: int, part: Optional[Tuple[int, int]]) -> List[int]:
    """The images of share `index` of `of`; all of them where there is none."""
    index, of = part or (0, 1)
    return list(range(count * index // of, count * (index + 1) // of))


def lead_of(share: Sequence[int], asks: Mapping[int, MapAsk]) -> List[int]:
    """The image before the share's first, where one of them looks back to it."""
    looks_back = any(ask.method.looks_back for ask in asks.values())
    return [share[0] - 1] if share and share[0] and looks_back else []


def passes_of(walk: Walk, asks: Mapping[int, MapAsk], job: Job) -> Tuple[int, int]:
    """Images forward and back that the walk takes at most."""
    share = share_of(walk.count(job.image_shape), job.request.part)
    images = len(share) + len(lead_of(share, asks))
    targets = sum(rule.count for rule in distinct(r for ask in asks.values() for r in ask.rules))
    back = bool(reads_of(asks) & Reads.GRADIENT)
    return walk.series.passes(dict(walk.params), images, targets, back=back)
