"""A job in a process of its own, with limits, that answers with a value or with one sentence.

The job writes what it found to a file as JSON, because what it opens or imports may print. What it
prints is kept from the user; the last line of it is told only when the job died without a word.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from servelens_archives.errors import BuildError

RESULT, PROBLEM = "result", "problem"
PROGRESS = ".progress"
LOOK_EVERY_S = 0.2


def run_job(
    arguments: Sequence[str],
    report: Path,
    *,
    environment: Mapping[str, str],
    seconds: float,
    tell: Callable[[str], None] = lambda text: None,
) -> Any:
    """What `python *arguments` wrote to `report`; raises BuildError with its sentence if it failed.

    -P keeps the job's own folder and the current one off its path. `tell` is given each line that
    it writes to the file beside the report with the suffix .progress.
    """
    with subprocess.Popen(
        [sys.executable, "-P", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
    ) as job:
        try:
            output = _output(job, report.with_suffix(PROGRESS), seconds, tell)
        except BaseException:
            job.kill()
            raise
    said = _read(report)
    if RESULT in said and job.returncode == 0:
        return said[RESULT]
    raise BuildError(said.get(PROBLEM) or _last_words(job.returncode, output))


def _output(
    job: subprocess.Popen[bytes], progress: Path, seconds: float, tell: Callable[[str], None]
) -> bytes:
    """All that the job printed, once it has ended."""
    deadline, told = time.monotonic() + seconds, 0
    while True:
        try:
            output, _ = job.communicate(timeout=LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise BuildError(
                    f"took longer than {seconds:.0f} seconds and was stopped"
                ) from None
        else:
            return output
        for line in _whole_lines(progress)[told:]:
            tell(line)
            told += 1


def _whole_lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    return []


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
