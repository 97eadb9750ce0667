"""Slow methods asked for in parts, so that a person sees what there is and can stop it.

A worker that is busy hears no cancel message, and finishes what it has begun; so it is given little
at a time. Parts come as sums and weights, which add up to the whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from servelens.client import Result
from servelens.protocol import to_wire
from servelens_dashboard.lens import Lens
from servelens_dashboard.scene import Scene, explain_request
from servelens_dashboard.url_state import Entry

# In forward passes: about a second of a middling network on a processor.
A_PART = 32
MOST_PARTS = 16


def parts_of(method: Mapping[str, Any]) -> int:
    """In how many parts a method is asked for; 1 is whole."""
    if not method.get("comes_in_parts"):
        return 1
    return max(1, min(MOST_PARTS, math.ceil(method.get("relative_cost", 1) / A_PART)))


def part_request(request: Mapping[str, Any], index: int, of: int) -> dict[str, Any]:
    return {**request, "part": {"index": index, "of": of}} if of > 1 else dict(request)


def asked(lens: Lens, scene: Scene, entry: Entry, done: int, of: int) -> Result:
    """As far as it has come; what was asked for before is in the cache."""
    request = explain_request(scene, entry)
    photo = scene.view.photo or ""
    parts = (part_request(request, index, of) for index in range(done))
    return together([lens.ask(scene.version, photo, part) for part in parts], request)


def asked_whole(lens: Lens, scene: Scene, entry: Entry) -> Result:
    of = parts_of(scene.methods.get(entry.method, {}))
    return asked(lens, scene, entry, of, of)


def together(results: Sequence[Result], request: Mapping[str, Any]) -> Result:
    """One result of the parts that there are, as if `request` had been asked for as a whole; where
    none has looked yet, its map is 0."""
    first = results[0]
    shown = first.attributions[0]
    if shown.map is None or shown.weight is None:
        return first
    maps = np.sum([r.attributions[0].to_numpy() for r in results], axis=0, dtype=np.float64)
    weights = np.sum([_weight(r) for r in results], axis=0, dtype=np.float64)
    whole = np.divide(maps, weights, out=np.zeros_like(maps), where=weights > 0)
    spent = {
        "forwards": sum(result.cost.forwards for result in results),
        "backwards": sum(result.cost.backwards for result in results),
        "ms": {"compute": sum(result.cost.ms.get("compute", 0) for result in results)},
    }
    document = to_wire(first.document)
    (entry,) = document["attributions"]
    entry.update({"map": whole, "weight": None})
    document["cost"].update(spent)
    photo = first.origin.photo if first.origin else None
    return Result.of(document, photo, request)


def _weight(result: Result) -> Any:
    """As large as the map; some methods have one number for all of it."""
    shown = result.attributions[0]
    assert shown.weight is not None
    return np.broadcast_to(shown.weight, shown.to_numpy().shape)
