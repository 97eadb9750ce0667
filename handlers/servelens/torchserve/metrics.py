"""What a worker reports of its batches through TorchServe's metrics.

In prometheus mode TorchServe drops the names that metrics.yaml does not list, unless it is told
to detect them; docs/metrics.yaml lists these.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, DefaultDict, Dict, Iterable, Tuple

from ts.metrics.dimension import Dimension

from servelens.torchserve.replies import Reply

logger = logging.getLogger(__name__)

# Where the methods of one answer shared their passes, nobody can say which took the time.
SEVERAL, NONE = "several", "none"
CALLERS_FAULT = range(400, 500)
MILLISECONDS = "ms"


@dataclass(frozen=True)
class Metric:
    """A counter, but for those in milliseconds that have no dimension: these are gauges."""

    name: str
    help: str
    unit: str = "count"
    dimensions: Tuple[str, ...] = ()


ROWS = Metric("LensRows", "rows that were answered")
PROBLEMS = Metric("LensProblems", "rows of these that got a problem")
INVALID = Metric("LensInvalid", "rows of these that were refused as wrong or too large")
BYTES = Metric("LensBytes", "bytes that were answered")
RETRIES = Metric("LensMemoryRetries", "times that memory ran out and fewer images were tried")
METHOD_TIME = Metric(
    "LensMethodTime",
    "milliseconds of compute, by the method that was asked for",
    dimensions=("Method",),
)
ENGINE_TIME = Metric("LensEngineTime", "a batch's time in the engine", unit=MILLISECONDS)
METRICS = (ROWS, PROBLEMS, INVALID, BYTES, RETRIES, METHOD_TIME, ENGINE_TIME)


@dataclass
class Tally:
    """What one batch comes to."""

    rows: int
    problems: int = 0
    invalid: int = 0
    bytes: int = 0
    memory_retries: int = 0
    engine_ms: float = 0.0
    method_ms: DefaultDict[str, float] = field(default_factory=lambda: defaultdict(float))

    def sent(self, reply: Reply) -> None:
        self.bytes += len(reply.body)

    def finished(self, reply: Reply) -> None:
        self.sent(reply)
        self.problems += reply.is_problem
        self.invalid += reply.is_problem and reply.status in CALLERS_FAULT

    def explained(self, methods: Iterable[str], ms: float) -> None:
        distinct = set(methods)
        name = NONE if not distinct else distinct.pop() if len(distinct) == 1 else SEVERAL
        self.method_ms[name] += ms

    def report(self, cache: Any) -> None:
        """A metric never costs an answer: what goes wrong here is logged and forgotten."""
        try:
            for metric, value in self._totals().items():
                # TorchServe's default for `dimensions` is one list, which every metric appends to.
                cache.add_counter(metric.name, value, dimensions=[])
            for method, ms in self.method_ms.items():
                by_method = [Dimension(*METHOD_TIME.dimensions, method)]
                cache.add_counter(METHOD_TIME.name, round(ms, 2), dimensions=by_method)
            cache.add_time(ENGINE_TIME.name, round(self.engine_ms, 2), dimensions=[])
        except Exception as error:
            logger.warning("the metrics of a batch were not reported: %s", type(error).__name__)

    def _totals(self) -> Dict[Metric, int]:
        return {
            ROWS: self.rows,
            PROBLEMS: self.problems,
            INVALID: self.invalid,
            BYTES: self.bytes,
            RETRIES: self.memory_retries,
        }
