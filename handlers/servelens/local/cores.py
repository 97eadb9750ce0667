"""How this machine's cores are shared among the workers that are started on it."""

from __future__ import annotations

import os
from collections.abc import Mapping

# What torch takes its number of threads from, before a recipe's `threads`.
THREADS = "OMP_NUM_THREADS"


def cores() -> int:
    """Those that we may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_each(workers: int) -> int:
    """So many that all together take the cores: workers that each have threads for all of them
    wait for one another's, and take three times as long or more."""
    return max(1, cores() // max(1, workers))


def share(workers: int, environ: Mapping[str, str]) -> dict[str, str]:
    """What to add to the workers' environment; nothing where somebody has decided already."""
    return {} if environ.get(THREADS) else {THREADS: str(threads_each(workers))}
