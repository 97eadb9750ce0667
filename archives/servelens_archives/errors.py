"""What can go wrong between a recipe and its archive; each message is whole sentences for a person.

BuildError
├── RecipeError      the recipe does not say what it must; lists everything that is wrong
├── WeightsError     the weights cannot be had, opened or fitted
├── PreflightError   the staged model would fail in the worker
└── ArchiveError     an archive that exists cannot be read, instrumented or given back
"""

from __future__ import annotations

from collections.abc import Sequence


class BuildError(Exception):
    """No archive was written; the message says why and what to do."""


class RecipeError(BuildError):
    def __init__(self, recipe: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        count = "an error" if len(self.problems) == 1 else f"{len(self.problems)} errors"
        super().__init__(f"{recipe} has {count}:\n{lines}")


class WeightsError(BuildError):
    pass


class PreflightError(BuildError):
    pass


class ArchiveError(BuildError):
    pass
