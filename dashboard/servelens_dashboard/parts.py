"""Slow methods asked for in parts, so that a person sees what there is and can stop it.

A worker that is busy hears no cancel message, and finishes what it has begun; so it is given little
at a time. Parts come as sums and weights, which add up to the whole.

The first part is the smallest, and says how long the whole takes on this model and machine. If
that is not long, it is asked for as a whole: each part runs the photo itself too, and what else it
begins with. Else each of the next parts is as large as all before it together, but for none may a
person have to wait.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np

from servelens.client import Attribution, Refused, Result
from servelens.protocol import Cost, Passes, to_wire
from servelens_dashboard.lens import Changed, Lens
from servelens_dashboard.scene import Scene, explain_request, predict_request
from servelens_dashboard.url_state import HOME, Entry

# In forward passes; what costs less is not worth its parts, and what costs no more than a few is
# not worth a question for the predictions before it.
SLOW = 32
FEW = 4
# What takes no longer altogether does not come in parts.
QUICK_MS = 1500.0
# Of so many equal pieces of work, at most, each part has 1, 2, 4 …
PIECES = 64
A_PART_MS = 1000.0
BACKWARD = 2.0


@dataclass(frozen=True)
class Progress:
    """A result as far as it has come: so many pieces of so many."""

    result: Result
    done: int
    of: int

    @property
    def is_whole(self) -> bool:
        return self.done == self.of


def is_slow(method: Mapping[str, Any]) -> bool:
    return bool(method.get("relative_cost", 1) > SLOW)


def predicted(lens: Lens, scene: Scene) -> Result:
    """What the model predicts; a map of the page that is soon there brings that along."""
    photo, request = scene.view.photo or "", predict_request(scene)
    soon = [entry for entry in scene.view.methods if _is_soon_there(scene, entry)]
    if not soon or lens.knows(scene.version, photo, request):
        return lens.ask(scene.version, photo, request)
    try:
        return asked(lens, scene, soon[0]).result
    except Refused:
        return lens.ask(scene.version, photo, request)


def _is_soon_there(scene: Scene, entry: Entry) -> bool:
    cost = scene.methods.get(entry.method, {}).get("relative_cost", math.inf)
    return scene.view.page == HOME and bool(cost <= FEW)


def comes_in_parts(method: Mapping[str, Any]) -> bool:
    return is_slow(method) and bool(method.get("comes_in_parts"))


def is_awaited(lens: Lens, scene: Scene, entry: Entry) -> bool:
    """Whether a person would have to wait for the whole of it, and see nothing till then."""
    method = scene.methods.get(entry.method, {})
    if comes_in_parts(method) or not is_slow(method):
        return False
    request = explain_request(scene, entry)
    return not lens.knows(scene.version, scene.view.photo or "", request)


@dataclass(frozen=True)
class Outlook:
    """How long the whole takes, and in how many pieces it comes: in no more than it has images, for
    others would be empty, and begin with what each part begins with all the same."""

    whole_ms: float
    pieces: int

    @classmethod
    def after(cls, first: Cost) -> Outlook:
        """The first of `PIECES` parts; where its archive does not say what the whole takes, all
        are taken to be like it."""
        ms = first.ms.get("compute", 0.0)
        if first.whole is None:
            return cls(PIECES * ms, PIECES)
        images = 2 ** int(math.log2(max(1, first.whole.forwards)))
        return cls(ms * _work(first.whole) / _work(first), min(PIECES, images))

    @property
    def piece_ms(self) -> float:
        return self.whole_ms / self.pieces

    @property
    def is_quick(self) -> bool:
        return self.whole_ms <= QUICK_MS


def asked(lens: Lens, scene: Scene, entry: Entry, patience_s: float | None = math.inf) -> Progress:
    """The whole, where it is quick or in the cache. Else the first part and what is in the cache;
    then another one, and more for as long as patience lasts. With None nothing but the first is
    asked. What a part cannot be given, the whole may be, or says why not."""
    request, photo = explain_request(scene, entry), scene.view.photo or ""

    def whole() -> Progress:
        return Progress(lens.ask(scene.version, photo, request), 1, 1)

    in_parts = comes_in_parts(scene.methods.get(entry.method, {}))
    if not in_parts or lens.knows(scene.version, photo, request):
        return whole()
    found = [lens.ask(scene.version, photo, _part(request, 0, 1, PIECES))]
    outlook, began, may_ask = Outlook.after(found[0].cost), monotonic(), patience_s is not None
    if outlook.is_quick and may_ask:
        return whole()
    # A first part of fewer pieces than its own is empty.
    done = int(outlook.pieces == PIECES)
    for size in sizes(outlook.piece_ms, done, outlook.pieces):
        if not _has_map(found[-1]):
            break
        part = _part(request, done, size, outlook.pieces)
        if not lens.knows(scene.version, photo, part):
            if patience_s is None:
                break
            if monotonic() - began >= patience_s:
                patience_s = None
        found.append(lens.ask(scene.version, photo, part))
        done += size
    if not _has_map(found[-1]):
        return whole() if may_ask else Progress(found[-1], 0, 1)
    if len({part.model.digest for part in found}) > 1:
        raise Changed(scene.version)
    return Progress(together(found, request), done, outlook.pieces)


def known(lens: Lens, scene: Scene, entry: Entry) -> Result | None:
    """The whole of it, where nothing need be asked for that."""
    request, photo = explain_request(scene, entry), scene.view.photo or ""
    in_parts = comes_in_parts(scene.methods.get(entry.method, {}))
    begun = [request, *([_part(request, 0, 1, PIECES)] if in_parts else [])]
    if not any(lens.knows(scene.version, photo, each) for each in begun):
        return None
    found = asked(lens, scene, entry, None)
    return found.result if found.is_whole else None


def _part(request: Mapping[str, Any], start: int, size: int, of: int) -> dict[str, Any]:
    return {**request, "part": {"index": start // size, "of": of // size}}


def sizes(piece_ms: float, done: int = 1, of: int = PIECES) -> Iterator[int]:
    """How many pieces each next part has, where so many are done and a piece takes so long. A part
    begins at a multiple of its size, so that it is a share as the protocol has them."""
    size = 1
    while done < of:
        yield size
        done += size
        if done == 2 * size and 2 * size * piece_ms <= A_PART_MS:
            size *= 2


def asked_whole(lens: Lens, scene: Scene, entry: Entry) -> Result:
    return asked(lens, scene, entry).result


def together(results: Sequence[Result], request: Mapping[str, Any]) -> Result:
    """One result of the parts that there are, as if `request` had been asked for as a whole; where
    none has looked yet, its map is 0."""
    first = results[0]
    entries = [result.attributions[0] for result in results]
    # Of a share that no image fell to, a map may be a single 0.
    maps: Any = sum(np.asarray(entry.map, np.float64) for entry in entries)
    weights: Any = np.broadcast_to(sum(map(_weight, entries)), maps.shape)
    whole = np.divide(maps, weights, out=np.zeros_like(maps), where=weights > 0)
    deltas = [entry.convergence_delta for entry in entries if entry.convergence_delta is not None]
    document = to_wire(first.document)
    document["attributions"][0].update(
        map=whole if first.attributions[0].signed else np.maximum(whole, 0),
        weight=None,
        convergence_delta=sum(deltas) / weights.max() if deltas and weights.any() else None,
    )
    document["cost"].pop("whole", None)
    document["cost"].update(
        forwards=sum(result.cost.forwards for result in results),
        backwards=sum(result.cost.backwards for result in results),
        ms={"compute": sum(result.cost.ms.get("compute", 0) for result in results)},
    )
    photo = first.origin.photo if first.origin else None
    return Result.of(document, photo, request)


def _weight(entry: Attribution) -> Any:
    """As large as the map; some methods have one number for all of it."""
    return 0.0 if entry.weight is None else np.asarray(entry.weight, np.float64)


def _has_map(result: Result) -> bool:
    return result.attributions[0].map is not None


def _work(passes: Cost | Passes) -> float:
    return max(1.0, passes.forwards + BACKWARD * passes.backwards)
