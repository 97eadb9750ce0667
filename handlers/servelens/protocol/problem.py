"""What a caller is told when something cannot be done, and how it travels inside the code."""

from __future__ import annotations

import difflib
import itertools
import reprlib
from dataclasses import dataclass, replace
from typing import Dict, Iterable, Optional

STATUS: Dict[str, int] = {
    "no_image": 400,
    "bad_image": 400,
    "bad_json": 400,
    "unknown_key": 400,
    "unknown_method": 400,
    "unknown_layer": 400,
    "unknown_class": 400,
    "ambiguous_class": 400,
    "bad_value": 400,
    "too_many_pixels": 413,
    "over_budget": 413,
    "response_too_large": 413,
    "out_of_memory": 507,
    "internal": 500,
    # Never a status of its own: it stands inside a 200, beside what did work.
    "unsupported": 200,
}


@dataclass(frozen=True)
class Problem:
    """One failure: what happened, what to do about it, and which part of the request it is."""

    type: str
    message: str
    hint: Optional[str] = None
    where: Optional[str] = None
    id: Optional[str] = None

    @property
    def code(self) -> int:
        return STATUS[self.type]

    @property
    def words(self) -> str:
        """What happened and what to do, in one line."""
        return self.message if self.hint is None else f"{self.message}; {self.hint}"

    def at(self, where: str) -> Problem:
        return replace(self, where=where)

    def to_wire(self) -> Dict[str, object]:
        wire: Dict[str, object] = {
            "code": self.code,
            "type": self.type,
            "message": self.message,
            "hint": self.hint,
            "where": self.where,
        }
        if self.id is not None:
            wire["id"] = self.id
        return wire


class ProblemError(Exception):
    """Carries a Problem up to the row that caused it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def problem(
    kind: str, message: str, *, hint: Optional[str] = None, where: Optional[str] = None
) -> ProblemError:
    return ProblemError(Problem(kind, message, hint=hint, where=where))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known: the nearest ones, or else the first few that are."""
    names = list(known)
    near = difflib.get_close_matches(name[:200], names, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(repr(n) for n in near) + "?"
    shown = ", ".join(repr(n) for n in names[:12])
    return f"known: {shown}" + (", …" if len(names) > 12 else "")


def shorten(value: object, limit: int = 60) -> str:
    """A caller's value as it may stand in a message: escaped, and never longer than a line.

    A value may be of any size and depth, so that only its beginning is looked at.
    """
    text = _BEGINNING.repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def place(name: str, within: str = "") -> str:
    """The `where` of a key that a caller named; a name that is no plain word is shortened."""
    word = name if len(name) <= 60 and name.isidentifier() else shorten(name)
    return f"{within}.{word}" if within else word


class _Beginning(reprlib.Repr):
    """`repr` of as much of a value as a message could show."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxdict = 12

    def repr_str(self, x: str, level: int) -> str:
        return repr(x[:100])

    def repr_int(self, x: int, level: int) -> str:
        # Python takes quadratic time to write long integers, or refuses to.
        return repr(x) if x.bit_length() <= 256 else f"an integer of {x.bit_length()} bits"

    def repr_dict(self, x: Dict[object, object], level: int) -> str:
        # In the order that the caller gave; reprlib would first sort all of it.
        first = dict(itertools.islice(x.items(), self.maxdict))
        return super().repr_dict(first, level)


_BEGINNING = _Beginning()
