"""Failures of our own: the caller gets an id, and the log has the same id with the traceback.

A worker's output is read by TorchServe's front end, which takes some lines for commands, and an
error's text may hold what a caller sent: so only a record's first line may begin as it likes.
"""

from __future__ import annotations

import logging
from typing import Optional

from servelens.engine.faults import as_problem
from servelens.protocol import Problem

MARK = "  | "


def internal(error: Exception, during: str) -> Problem:
    return as_problem(error, f"the server failed while {during}")


def mark_following_lines(log: logging.Logger) -> None:
    """From now on each line of a record but the first is marked, tracebacks above all."""
    for handler in log.handlers:
        if not isinstance(handler.formatter, _FirstLineFree):
            handler.setFormatter(_FirstLineFree(handler.formatter))


class _FirstLineFree(logging.Formatter):
    def __init__(self, inner: Optional[logging.Formatter]) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        first, *following = self._inner.format(record).splitlines() or [""]
        return "\n".join([first, *(MARK + line for line in following)])
