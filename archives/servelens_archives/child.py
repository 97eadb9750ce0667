"""A job in a process of its own, with limits, that answers with a value or with one sentence.

The job writes what it found to a file as JSON, because what it opens or imports may print. What it
prints is kept from the user; the last line of it is told only when the job died without a word.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from servelens_archives.errors import BuildError

RESULT, PROBLEM = "result", "problem"


def run_job(
    arguments: Sequence[str], report: Path, *, environment: Mapping[str, str], seconds: float
) -> Any:
    """What `python *arguments` wrote to `report`; raises BuildError with its sentence if it failed.

    -P keeps the job's own folder and the current one off its path.
    """
    try:
        ended = subprocess.run(
            [sys.executable, "-P", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"took longer than {seconds:.0f} seconds and was stopped") from None
    said = _read(report)
    if RESULT in said and ended.returncode == 0:
        return said[RESULT]
    raise BuildError(said.get(PROBLEM) or _last_words(ended.returncode, ended.stdout))


def write_report(path: Path, *, result: Any = None, problem: str | None = None) -> None:
    said = {PROBLEM: problem} if problem is not None else {RESULT: result}
    path.write_text(json.dumps(said), encoding="utf-8")


def _read(report: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        said = json.loads(report.read_text(encoding="utf-8"))
        if isinstance(said, dict):
            return said
    return {}


def _last_words(code: int, output: bytes) -> str:
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "none")
    return f"ended its process with code {code}; the last line it printed: {last[:300]}"
