"""Runs a model once as its worker will, before an archive of it exists.

It needs a process of its own: only the unpacked archive may be on its path, so that a file which
was not vendored is missed here and not by the first caller.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from servelens_archives.child import run_job
from servelens_archives.errors import BuildError, PreflightError

CHILD = Path(__file__).with_name("preflight_child.py")
PREFLIGHT_SECONDS = 900.0


@dataclass(frozen=True)
class Flight:
    """What the preflight saw; the capability document itself is now in the folder."""

    layers: int
    default_layer: str | None
    classes: int
    parameters: int
    ms: Mapping[str, float]
    warnings: tuple[str, ...]

    def summary(self) -> str:
        times = ", ".join(f"{what} {ms:.0f} ms" for what, ms in self.ms.items())
        return (
            f"{self.parameters:,} parameters, {self.layers} layers, default layer "
            f"{self.default_layer}, {self.classes} classes; {times}"
        )


def fly(folder: Path, report: Path) -> Flight:
    """Surveys the model in `folder` where it has no capability.json, predicts and explains once,
    and writes that."""
    arguments = [str(CHILD), str(folder), str(report)]
    environment = as_worker(folder, report.parent)
    try:
        seen = run_job(arguments, report, environment=environment, seconds=PREFLIGHT_SECONDS)
    except BuildError as error:
        raise PreflightError(f"the model would fail in its worker: {error}") from None
    return Flight(**{**seen, "warnings": tuple(seen["warnings"])})


def as_worker(folder: Path, private: Path) -> dict[str, str]:
    """The environment of a process that imports from the folder alone, and leaves nothing in it."""
    return {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(private),  # torch leaves caches in it
    }
