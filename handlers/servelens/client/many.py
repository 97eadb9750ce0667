"""Many photos, one after the other in the caller's order, a few of them asked at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, TypeVar

from servelens.client.errors import ClientError

Photo = TypeVar("Photo")
Answer = TypeVar("Answer")

# What a worker has waiting costs memory there; two at each end of the wire keep both busy.
AT_ONCE = 4


def in_order(
    ask: Callable[[Photo], Answer],
    photos: Iterable[Photo],
    *,
    at_once: int = AT_ONCE,
    progress: bool = False,
) -> Iterator[Answer | ClientError]:
    """An answer for each photo, or the error that took its place, so that one bad photo costs no
    other its answer. `photos` may be endless: no more are read than are asked."""
    if at_once < 1:
        raise ValueError(f"at_once must be 1 or more, not {at_once}")
    photos, total = iter(photos), len(photos) if isinstance(photos, Sized) else None
    with _bar(progress, total) as advance, ThreadPoolExecutor(at_once) as callers:
        waiting = deque(callers.submit(ask, photo) for photo in islice(photos, at_once))
        try:
            while waiting:
                answer = _outcome(waiting.popleft())
                waiting.extend(callers.submit(ask, photo) for photo in islice(photos, 1))
                advance()
                yield answer
        finally:
            for call in waiting:
                call.cancel()


def _outcome(call: Future[Answer]) -> Answer | ClientError:
    try:
        return call.result()
    except ClientError as error:
        return error


def _bar(wanted: bool, total: int | None) -> AbstractContextManager[Callable[[], Any]]:
    if not wanted:
        return nullcontext(lambda: None)
    from servelens.client.progress import bar

    return bar(total)
