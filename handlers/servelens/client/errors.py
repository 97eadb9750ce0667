"""What can go wrong when a server is asked; every message is a sentence for a person.

ClientError
├── Unreachable       no answer to be had
│   ├── NoKey         the server was not asked, for its key cannot be read
│   ├── NotConnected  no connection was made, so the server has seen nothing of the call
│   └── TooSlow       the server was asked, and said nothing within the time allowed
├── Refused           an answer that is not a success; `status` is its HTTP status
│   └── LensProblem   ServeLens itself said what is wrong; `problem` is its type, hint and where
├── BadAnswer         an answer that is not what the protocol promises
├── BadPhoto          what was given as a photo cannot be read; nothing was sent
├── BadName           what was given as a name is none that a model can have; nothing was sent
├── NothingToShow     a result that has no numbers, and says why
├── NotSaved          a file that cannot be written
└── MissingExtra      a library that only notebooks need is not installed
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """The root: whoever catches this has caught all that this package raises on purpose."""


class Unreachable(ClientError):
    pass


class NoKey(Unreachable):
    pass


class NotConnected(Unreachable):
    pass


class TooSlow(Unreachable):
    pass


class Refused(ClientError):
    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"the server refused ({status}): {reason}")

    @property
    def is_of_a_key(self) -> bool:
        """TorchServe gives no status of its own to a key that is wrong or has run out."""
        return "token authorization" in self.reason.lower()


class LensProblem(Refused):
    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.problem = problem
        hint = f"; {problem['hint']}" if problem.get("hint") else ""
        super().__init__(status, f"{problem['message']}{hint}")


class BadAnswer(ClientError):
    pass


class BadPhoto(ClientError):
    pass


class BadName(ClientError):
    pass


class NothingToShow(ClientError):
    pass


class NotSaved(ClientError):
    pass


class MissingExtra(ClientError, ImportError):
    pass
