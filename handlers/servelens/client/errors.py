"""What can go wrong when a server is asked; every message is a sentence for a person.

ClientError
├── Unreachable      no answer: the server is not there, or took too long
└── Refused          an answer that is not a success; `status` is its HTTP status
    └── LensProblem  ServeLens itself said what is wrong; `problem` is its type, hint and where
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """The root: whoever catches this has caught all that this package raises on purpose."""


class Unreachable(ClientError):
    pass


class Refused(ClientError):
    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"the server refused ({status}): {reason}")


class LensProblem(Refused):
    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.problem = problem
        hint = f"; {problem['hint']}" if problem.get("hint") else ""
        super().__init__(status, f"{problem['message']}{hint}")
