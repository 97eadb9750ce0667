"""How much may be spent: rows in a chunk, milliseconds of compute, bytes of an answer."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional

import torch

from servelens.protocol import problem

CHUNK_SIZES = {"cpu": (1, 2, 4, 8, 16), "cuda": (1, 4, 8, 16, 32, 64)}
# A larger chunk is preferred while its cost per image is within this of the best one seen.
NEARLY_BEST = 1.05
# Loading a worker waits for calibration: this is for one size, and once a single run takes as long
# no larger size is tried.
LONGEST_TRIAL_S = 0.4
MOST_TRIALS = 6
# Work that takes this many times its budget is given up: the estimate was wrong.
PATIENCE = 1.5
ASK_FOR_LESS = "ask for fewer layers, targets or channels at once, or for format npz"


@dataclass(frozen=True)
class Limits:
    """What one answer may cost; an archive's `servelens:` section in model-config.yaml sets it."""

    pixels: int = 50_000_000
    steps: int = 1000
    layers: int = 2000
    response_bytes: int = 6_000_000
    response_timeout_s: float = 120.0

    @property
    def budget_ms(self) -> float:
        """Half of the time after which the server gives a worker up for dead."""
        return self.response_timeout_s * 500


@dataclass
class Pace:
    """How fast passes run here, and in chunks of which size; running out of memory lowers it."""

    chunk: int = 1
    ms_per_image: float = 0.0
    # What an image costs in a whole chunk, never more than alone.
    ms_in_chunk: float = 0.0
    # How often memory ran out here.
    retries: int = 0

    def retry_with(self, chunk: int) -> None:
        self.retries += 1
        self.lower_to(chunk)

    def lower_to(self, chunk: int) -> None:
        self.chunk = max(1, min(self.chunk, chunk))


def calibrate(run: Callable[[int], None], device: torch.device) -> Pace:
    """Time the pass at growing sizes and take the largest whose cost per image is nearly best."""
    costs: Dict[int, float] = {}
    for size in CHUNK_SIZES["cuda" if device.type == "cuda" else "cpu"]:
        try:
            seconds = _seconds(run, size, device)
        except Exception as error:
            if size == 1 or not is_out_of_memory(error):
                raise
            break
        costs[size] = seconds / size
        if seconds > LONGEST_TRIAL_S:
            break
    best = min(costs.values())
    chunk = max(size for size, cost in costs.items() if cost <= best * NEARLY_BEST)
    return Pace(chunk, costs[1] * 1000, costs[chunk] * 1000)


def is_out_of_memory(error: BaseException) -> bool:
    """On a GPU it has a type of its own; on a CPU torch says it in words."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def check_compute(estimate_ms: float, budget_ms: float) -> None:
    if estimate_ms > budget_ms:
        raise problem(
            "over_budget",
            f"this would take about {math.ceil(estimate_ms)} ms, the budget is {budget_ms:g} ms",
            hint="ask for fewer targets or steps, give a larger budget_ms, or ask for a stream",
            where="budget_ms",
        )


def check_time(spent_ms: float, limit_ms: Optional[float]) -> None:
    """For work whose estimate was wrong; better no map than a worker that counts as dead."""
    if limit_ms is not None and spent_ms > limit_ms:
        raise problem(
            "over_budget",
            f"this was given up after {math.ceil(spent_ms)} ms, longer than was estimated",
            hint="ask for less of it, for a part, or for a stream",
            where="budget_ms",
        )


def release_memory(device: torch.device) -> None:
    """What torch keeps for its next tensors is of no use where the next ones are to be smaller."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def check_size(size: int, limit: int, ask_instead: str = ASK_FOR_LESS) -> None:
    if size > limit:
        raise problem(
            "response_too_large",
            f"the answer would be {size:,} bytes, the limit is {limit:,}",
            hint=ask_instead,
        )


def _seconds(run: Callable[[int], None], size: int, device: torch.device) -> float:
    """The best of a few runs after one that warms up: other work can only make a run slower."""
    times: List[float] = []
    while len(times) < 2 or (len(times) < MOST_TRIALS and sum(times) < LONGEST_TRIAL_S):
        started = time.perf_counter()
        run(size)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times[1:])
