"""Answers by content: the least recently used go first, and what two ask at once is asked once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Cache(Generic[T]):
    """Failures are told to all who wait for them, and are not kept."""

    def __init__(self, cap: int, size: Callable[[T], int] = lambda value: 1) -> None:
        self._cap = cap
        self._size = size
        self._used = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._coming: dict[Hashable, Future[T]] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            coming = self._coming.get(key)
            if coming is None:
                ours = self._coming[key] = Future()
        return self._make(key, make, ours) if coming is None else coming.result()

    def has(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._kept

    def forget(self) -> None:
        with self._lock:
            self._kept.clear()
            self._used = 0

    def _make(self, key: Hashable, make: Callable[[], T], ours: Future[T]) -> T:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            ours.set_exception(error)
            raise
        with self._lock:
            del self._coming[key]
            self._keep(key, value)
        ours.set_result(value)
        return value

    def _keep(self, key: Hashable, value: T) -> None:
        self._kept[key] = value
        self._used += self._size(value)
        while self._used > self._cap and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self._used -= self._size(dropped)
