"""The overlay pictures of a document's maps, as far as they fit into its answer."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import List, Optional

import numpy as np

from servelens.engine.overlay import overlay
from servelens.engine.paging import Allowance
from servelens.protocol import Attribution, Document, Problem


def with_pictures(document: Document, photo: np.ndarray, allowance: Allowance) -> Document:
    """In the order of the maps, with what is left of the allowance, in which there is room to say
    that some do not fit: none is drawn after the first of these."""
    started = time.perf_counter()
    entries: List[Attribution] = []
    for entry in document.attributions:
        picture = _picture(entry, photo)
        if picture is not None and not allowance.take_picture(picture):
            break
        entries.append(replace(entry, image=picture))
    left_out = document.attributions[len(entries) :]
    problems = document.problems
    if left_out:
        problems = (*(problems or ()), _not_drawn(len(left_out), len(document.attributions)))
    ms = {**document.cost.ms, "render": round((time.perf_counter() - started) * 1000, 3)}
    return replace(
        document,
        attributions=(*entries, *left_out),
        problems=problems,
        cost=replace(document.cost, ms=ms),
    )


def _picture(entry: Attribution, photo: np.ndarray) -> Optional[bytes]:
    return None if entry.map is None else overlay(entry.map, signed=entry.signed, photo=photo)


def _not_drawn(count: int, of: int) -> Problem:
    return Problem(
        "response_too_large",
        f"the pictures of the last {count} of {of} attributions do not fit into the answer",
        hint="ask for fewer maps at once, or for format npz; their maps are all here",
        where="render",
    )
