"""A slow map under way: asked for part by part, none of which anybody has to wait for.

A worker that is busy hears no cancel message, and finishes what it has begun; so it is given little
at a time. The first part is next to nothing: it says how many images the whole takes, and how long
a pass does on this model and machine. Each next part is as large as the one before it says that a
person can wait for.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from servelens.client import Result
from servelens.protocol import Cost, Passes
from servelens_dashboard.sums import Sum

# Of so many equal pieces of work, at most, each part has 1, 2, 4 …
PIECES = 8192
PIECES_UNTOLD = 64
A_PART_MS = 1500.0
# In forward passes.
BACKWARD = 2.0
COLOURS = 3


@dataclass(frozen=True)
class Outlook:
    """How long the whole takes, and in how many pieces it comes: in no more than it has images, for
    others would be empty, and begin with what each part begins with all the same."""

    whole_ms: float
    pieces: int

    @classmethod
    def after(cls, first: Cost) -> Outlook:
        """Where its archive does not say what the whole takes, a piece of fewer is taken to be like
        the first."""
        ms = first.ms.get("compute", 0.0)
        if first.whole is None:
            return cls(PIECES_UNTOLD * ms, PIECES_UNTOLD)
        images = max(1, first.whole.forwards - first.forwards)
        pieces = min(PIECES, 2 ** int(math.log2(images)))
        return cls(ms * _passes(first.whole) / _passes(first), pieces)


@dataclass(frozen=True)
class Progress:
    """A result as far as it has come: so many pieces of so many."""

    result: Result
    done: int
    of: int

    @property
    def is_whole(self) -> bool:
        return self.done == self.of


@dataclass(frozen=True)
class _State:
    sum: Sum
    done: int
    piece_ms: float


class Work:
    """One map for all who wait for it; threads may share it. What one has asked for is there for
    the others, and no part is asked twice."""

    def __init__(
        self,
        request: Mapping[str, Any],
        first: Result,
        ask: Callable[[Mapping[str, Any]], Result],
    ) -> None:
        self._outlook = Outlook.after(first.cost)
        self._request = request
        self._ask = ask
        self._lock = threading.Lock()
        self._state = _State(Sum.after(first), 0, self._outlook.whole_ms / self._outlook.pieces)

    @property
    def bytes(self) -> int:
        """That it may come to take: two numbers for each of the input's, in double precision."""
        seen = self._state.sum.first.input
        return 2 * 8 * COLOURS * (math.prod(seen.size) if seen else 1)

    @property
    def is_quick(self) -> bool:
        return self._outlook.whole_ms <= A_PART_MS

    @property
    def progress(self) -> Progress:
        """Without waiting for a part that is under way."""
        state = self._state
        return Progress(state.sum.result(self._request), state.done, self._outlook.pieces)

    def go_on(self) -> bool:
        """One part more; whether there is yet more to ask. Raises `NoPart` where none is given."""
        with self._lock:
            state, of = self._state, self._outlook.pieces
            if state.done < of:
                self._state = state = self._after(state, bite(state.piece_ms, state.done, of))
            return state.done < of

    def _after(self, state: _State, size: int) -> _State:
        part = self._ask(part_of(self._request, state.done, size, self._outlook.pieces))
        if part.attributions[0].map is None:
            raise NoPart
        ms = part.cost.ms.get("compute", 0.0)
        return replace(state, sum=state.sum.plus(part), done=state.done + size, piece_ms=ms / size)


class NoPart(Exception):
    """Why a part cannot be given, the whole may say."""


def first_part(request: Mapping[str, Any]) -> dict[str, Any]:
    return part_of(request, 0, 1, PIECES)


def part_of(request: Mapping[str, Any], start: int, size: int, of: int) -> dict[str, Any]:
    return {**request, "part": {"index": start // size, "of": of // size}}


def bite(piece_ms: float, done: int, of: int) -> int:
    """How many pieces the next part has: twice as many for as long as nobody waits too long for
    them, and a part begins at a multiple of its size, as a share of the protocol does."""
    size = 1
    while size < of and done % (2 * size) == 0 and 2 * size * piece_ms <= A_PART_MS:
        size *= 2
    return size


def _passes(made: Cost | Passes) -> float:
    return max(1.0, made.forwards + BACKWARD * made.backwards)
