"""What a worker reports of its batches through TorchServe's metrics.

In prometheus mode TorchServe drops the names that metrics.yaml does not list, unless it is told
to detect them.
"""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger(__name__)

ROWS = "LensRows"
PROBLEMS = "LensProblems"
ENGINE_TIME = "LensEngineTime"


def report(cache: Any, *, rows: int, problems: int, engine_ms: float) -> None:
    """One batch: its rows, how many got a problem, and its time in the engine.

    A metric never costs an answer: what goes wrong here is logged and forgotten.
    """
    try:
        # TorchServe's default for `dimensions` is one list, which every metric appends to.
        cache.add_counter(ROWS, rows, dimensions=[])
        cache.add_counter(PROBLEMS, problems, dimensions=[])
        cache.add_time(ENGINE_TIME, round(engine_ms, 2), dimensions=[])
    except Exception as error:
        logger.warning("the metrics of a batch were not reported: %s", type(error).__name__)
