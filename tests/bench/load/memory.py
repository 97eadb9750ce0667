"""What workers hold of the machine's memory while they are asked, and whether it grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType

import numpy as np
import psutil

EVERY_S = 1.0
# The first share of a run, in which caches fill and chunk sizes are tried.
SETTLING = 0.2
MEBIBYTE = 2**20


class Watch:
    """Inside `with` the resident memory of processes is looked at every second."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._processes = [psutil.Process(pid) for pid in pids]
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.times: list[float] = []
        self.sizes: list[list[float]] = [[] for _ in pids]

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._enough.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._enough.wait(EVERY_S):
            try:
                found = [process.memory_info().rss / MEBIBYTE for process in self._processes]
            except psutil.NoSuchProcess:
                return  # a worker that ended is told of by its pid
            self.times.append(time.monotonic())
            for sizes, size in zip(self.sizes, found, strict=True):
                sizes.append(size)

    def growth(self) -> list[tuple[float, float]]:
        """Of each process: MiB once it had settled, and by how many it grew from then on."""
        return [growth(self.times, sizes) for sizes in self.sizes]


def growth(times: Sequence[float], sizes: Sequence[float]) -> tuple[float, float]:
    """By the straight line that fits best, so that one look too late tells little."""
    first = int(len(times) * SETTLING)
    x, y = np.asarray(times[first:]), np.asarray(sizes[first:])
    if len(x) < 2:
        return float("nan"), float("nan")
    slope, start = np.polyfit(x - x[0], y, 1)
    return float(start), float(slope * (x[-1] - x[0]))
