"""A child process that is owned to its end: it, and all that it starts, go when we go.

TorchServe's Java front end starts a Python worker for every model. Whatever happens, none of them
may be left behind holding a port, a GPU or a gigabyte. The child leads a session of its own, and
what is in that session is ours and nobody else's: so its members can be found even after their
parent died, and a Ctrl-C at the terminal reaches only us, who then end the others in order.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from servelens.local.leash import on_leash

PATIENCE_S = 15.0


class OwnedProcess:
    """Start ``command`` in ``folder``, its output in ``log``; ``stop`` ends the whole family."""

    def __init__(
        self, command: Sequence[str], folder: Path, environ: Mapping[str, str], log: Path
    ) -> None:
        self._stopped = False
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                on_leash(command),
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        return self._child.poll()

    def family(self) -> list[psutil.Process]:
        """The child and every process of its session that still runs.

        One that ended and waits for its parent to notice does not: some containers have nobody
        who would.
        """
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def stop(self, patience_s: float = PATIENCE_S) -> None:
        """Ask the child to end, which ends its own; then ask, and last make, whoever is left."""
        if self._stopped:
            return
        if self._child.poll() is None:
            self._child.terminate()
            self._wait(patience_s)
        for end in (psutil.Process.terminate, psutil.Process.kill):
            self._end_family(end, patience_s / 3)
        self._child.wait()
        self._stopped = True

    def _wait(self, patience_s: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(patience_s)

    def _end_family(self, end: Callable[[psutil.Process], None], patience_s: float) -> None:
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                end(process)
        deadline = time.monotonic() + patience_s
        while self.family() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return (
                os.getsid(process.pid) == self._child.pid
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            return False
