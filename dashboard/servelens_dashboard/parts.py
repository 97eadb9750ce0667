"""Slow methods asked for in parts, so that a person sees what there is and can stop it.

Where the first part says that the whole does not take long, that is asked for as a whole: each part
runs the photo itself too, and what else it begins with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from time import monotonic
from typing import Any

from servelens.client import Refused, Result
from servelens_dashboard.lens import Lens
from servelens_dashboard.scene import Scene, explain_request, predict_request
from servelens_dashboard.url_state import HOME, Entry
from servelens_dashboard.work import NoPart, Progress, Work, first_part

# In forward passes; what costs less is not worth its parts, and what costs no more than a few is
# not worth a question for the predictions before it.
SLOW = 32
FEW = 4


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
    """Whether a person may have to wait for the whole of it, and see nothing till then."""
    method = scene.methods.get(entry.method, {})
    if comes_in_parts(method) or method.get("relative_cost", 1) <= FEW:
        return False
    request = explain_request(scene, entry)
    return not lens.knows(scene.version, scene.view.photo or "", request)


def asked(lens: Lens, scene: Scene, entry: Entry, patience_s: float | None = math.inf) -> Progress:
    """The whole, where it is quick or in the cache. Else what there is with another part, and more
    for as long as patience lasts; with None no more than the first, which says that it is slow.
    What a part cannot be given, the whole may be, or says why not."""
    request, photo = explain_request(scene, entry), scene.view.photo or ""
    in_parts = comes_in_parts(scene.methods.get(entry.method, {}))
    if not in_parts or lens.knows(scene.version, photo, request):
        return _whole(lens, scene, request)
    first = lens.ask(scene.version, photo, first_part(request))
    if first.attributions[0].map is None:
        return _whole(lens, scene, request) if patience_s is not None else Progress(first, 0, 1)
    work = lens.work(scene.version, photo, request, first)
    if work.is_quick:
        return _whole(lens, scene, request)
    if patience_s is None:
        return work.progress
    try:
        _go_on(work, patience_s)
    except NoPart:
        return _whole(lens, scene, request)
    found = work.progress
    if found.is_whole:
        lens.keep(photo, request, found.result)
    return found


def _whole(lens: Lens, scene: Scene, request: Mapping[str, Any]) -> Progress:
    return Progress(lens.ask(scene.version, scene.view.photo or "", request), 1, 1)


def _go_on(work: Work, patience_s: float) -> None:
    began = monotonic()
    while work.go_on() and monotonic() - began < patience_s:
        pass


def known(lens: Lens, scene: Scene, entry: Entry) -> Result | None:
    """The whole of it, where nothing need be asked for that."""
    request, photo = explain_request(scene, entry), scene.view.photo or ""
    is_there = lens.knows(scene.version, photo, request)
    return lens.ask(scene.version, photo, request) if is_there else None


def asked_whole(lens: Lens, scene: Scene, entry: Entry) -> Result:
    return asked(lens, scene, entry).result
