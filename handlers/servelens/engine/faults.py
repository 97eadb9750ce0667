"""Errors that are nobody's request to mend: what the caller is told of them, and what the log is.

What an error says can hold paths, so that none of it leaves; the log has it under a name that the
caller is given.
"""

from __future__ import annotations

import logging
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, Optional

from servelens.engine.budget import is_out_of_memory
from servelens.protocol import Problem, ProblemError

logger = logging.getLogger(__name__)


@dataclass
class Failure:
    problem: Optional[Problem] = None


@contextmanager
def contained(what: str) -> Iterator[Failure]:
    """What fails inside costs this part of an answer and no other; running out of memory goes on
    to whoever can try again with less at once."""
    failure = Failure()
    try:
        yield failure
    except Exception as error:
        if is_out_of_memory(error):
            raise
        failure.problem = as_problem(error, what)


def as_problem(error: Exception, what: str) -> Problem:
    """`what` failed, as a sentence without its full stop."""
    if isinstance(error, ProblemError):
        return error.problem
    if is_out_of_memory(error):
        return Problem(
            "out_of_memory",
            "memory ran out, even for this image alone",
            hint="ask for fewer layers or targets at once, or try again when the worker is idle",
        )
    incident = uuid.uuid4().hex[:12]
    logger.error("incident %s: %s", incident, what, exc_info=error)
    return Problem(
        "internal", what, hint=f"the worker's log has the cause under {incident}", id=incident
    )
