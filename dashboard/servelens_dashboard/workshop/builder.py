"""The builder, which has torch, run in processes of its own; they end with the dashboard."""

from __future__ import annotations

import atexit
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from servelens_dashboard.running import NotDone

# What the builder says of a recipe stands in from its name.
PROGRESS = "  "
ERROR = "error: "
NO_BUILDER = (
    "Building needs what runs a model, and the dashboard's Python does not have it: {error}. "
    "pip install 'servelens[server]' brings it; or start the dashboard with --builder and a Python "
    "that has it."
)

Tell = Callable[[str], None]


class Builder:
    def __init__(self, python: Path | None) -> None:
        self._python = str(python or sys.executable)
        self._processes: set[subprocess.Popen[str]] = set()
        atexit.register(self.end)

    def end(self) -> None:
        for process in list(self._processes):
            process.terminate()

    def run(self, job: str, given: Sequence[str], tell: Tell, seconds: float | None = None) -> None:
        """Returns when the job is done; raises `NotDone` with why it is not."""
        said: list[str] = []
        with self._started(job, given) as process:
            clock = threading.Timer(seconds, process.kill) if seconds else None
            if clock is not None:
                clock.start()
            self._processes.add(process)
            try:
                for line in process.stdout or ():
                    said.append(line.strip())
                    if line.startswith(PROGRESS) and not said[-1].startswith(ERROR):
                        tell(said[-1])
            finally:
                self._processes.discard(process)
                if clock is not None:
                    clock.cancel()
        if process.returncode != 0:
            found = why(said)
            raise NotDone(found[:1].upper() + found[1:])

    def _started(self, job: str, given: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._python, "-P", "-m", f"servelens_archives.{job}", *given],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )


def why(said: Sequence[str]) -> str:
    """The builder's last error, which may go over several lines; else its last words."""
    lines = [line for line in said if line]
    begins = [place for place, line in enumerate(lines) if line.startswith(ERROR)]
    if begins:
        return " ".join(lines[begins[-1] :]).removeprefix(ERROR)
    last = lines[-1] if lines else "nothing"
    if "No module named" in last:
        return NO_BUILDER.format(error=last.rpartition(": ")[2])
    return f"The builder ended before it was done; the last that it said: {last}"
