"""One thing that was looked at: what was seen and, where that is bad, how to mend it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something to mend is a problem, unless it only matters to some: then it is a note."""

    name: str
    saw: str
    mend: str | None = None
    optional: bool = False

    @property
    def is_problem(self) -> bool:
        return self.mend is not None and not self.optional

    @property
    def word(self) -> str:
        if self.mend is None:
            return "ok"
        return "note" if self.optional else "WRONG"
