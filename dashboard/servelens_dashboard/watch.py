"""What is looked at again and again for every visitor, and may take long when it is in trouble.

Whoever asks sets a look going, or waits for the one that is under way, but no longer than a person
would: then it is told what was seen last. A browser drops an answer that the next question of a
clock has overtaken, so that one which always came late would never be seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import Generic, TypeVar

Seen = TypeVar("Seen")
# Several visitors' pages ask every few seconds; they need not each look.
FRESH_S = 1.0
PATIENCE_S = 2.0


class Watch(Generic[Seen]):
    """Threads may share it. What a look raises is told to those who wait for it, and not kept."""

    def __init__(self, look: Callable[[], Seen]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._coming: Future[Seen] | None = None
        self._last: tuple[float, Seen] | None = None

    def now(self) -> Seen:
        """The first one is waited for: nothing was seen before it."""
        with self._lock:
            last = self._last
            if last is not None and monotonic() - last[0] < FRESH_S:
                return last[1]
            coming = self._coming or self._begin()
        if last is None:
            return coming.result()
        try:
            return coming.result(PATIENCE_S)
        except TimeoutError:
            return last[1]

    def anew(self) -> Seen:
        """After something was changed: what a look sees that began later."""
        with self._lock:
            coming = self._begin()
        return coming.result()

    def _begin(self) -> Future[Seen]:
        coming: Future[Seen] = Future()
        self._coming = coming
        threading.Thread(target=self._see, args=(coming,), name="looking", daemon=True).start()
        return coming

    def _see(self, coming: Future[Seen]) -> None:
        try:
            seen = self._look()
        except BaseException as error:
            self._end(coming, None)
            coming.set_exception(error)
            return
        self._end(coming, (monotonic(), seen))
        coming.set_result(seen)

    def _end(self, coming: Future[Seen], seen: tuple[float, Seen] | None) -> None:
        """One that a later look has overtaken tells nothing new."""
        with self._lock:
            if self._coming is coming:
                self._coming = None
                self._last = seen or self._last
