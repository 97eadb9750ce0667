"""One line of the worker's log for each row, as JSON, under the id that its caller was told too.

TorchServe answers every call with a header x-request-id; what stands here under it is what became
of that call. Nothing that a caller sent is in it, so that no one can write into a log.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any, Dict, Mapping

from servelens.torchserve.replies import Reply

logger = logging.getLogger(__name__)


class Journal:
    """The lines of one batch."""

    def __init__(self, request_ids: Mapping[int, str]) -> None:
        # A row's id is struck from TorchServe's own mapping as soon as its reply has left.
        self._ids = dict(request_ids)
        self._started = time.perf_counter()

    def note(self, row: int, reply: Reply) -> None:
        line: Dict[str, Any] = {
            "request_id": self._ids.get(row),
            "status": reply.status,
            "bytes": len(reply.body),
            "ms": round((time.perf_counter() - self._started) * 1000, 1),
        }
        if reply.problem is not None:
            line["problem"] = reply.problem["type"]
            if "id" in reply.problem:
                line["incident"] = reply.problem["id"]
        logger.info("lens %s", json.dumps(line))
