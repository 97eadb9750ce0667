"""The dashboard as a process of its own, beside a server on this machine.

It is started by its name and not imported: it installs without what a server needs, and the other
way round.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from types import TracebackType

from servelens.local.errors import ServerDied
from servelens.local.ports import LOOPBACK
from servelens.local.process import OwnedProcess
from servelens.local.torchserve import TorchServe

PATIENCE_S = 60.0
_READY = re.compile(r"^ready (http://\S+)$", re.MULTILINE)


class Dashboard:
    """Inside ``with`` it answers at ``url``. Its photos, files and its log lie in ``work``."""

    def __init__(
        self,
        server: TorchServe,
        work: Path,
        *,
        samples: Path,
        recipes: Path | None = None,
        port: int = 0,
    ) -> None:
        self._server = server
        self._work = work
        self._samples = samples
        self._recipes = recipes
        self._port = port
        self.url = ""

    def __enter__(self) -> Dashboard:
        self._log = self._work / "dashboard.log"
        self._process = OwnedProcess(
            self._command(), folder=self._work, environ=os.environ, log=self._log
        )
        try:
            self.url = self._wait()
        except BaseException:
            self._process.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.stop()

    def _command(self) -> list[str]:
        keys = self._server.key_file
        return [
            *(sys.executable, "-m", "servelens_dashboard"),
            *("--inference", self._server.url),
            *("--management", self._server.ports.url("management")),
            *("--metrics", self._server.ports.url("metrics")),
            *(("--keys", str(keys)) if keys else ()),
            *("--host", LOOPBACK, "--port", str(self._port)),
            *("--store", str(self._server.store), "--logs", str(self._server.front_end.logs)),
            *("--samples", str(self._samples)),
            *(("--recipes", str(self._recipes)) if self._recipes else ()),
            *("--photos", str(self._work / "photos"), "--files", str(self._work / "files")),
        ]

    def _wait(self) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            said = self._log.read_text(encoding="utf-8", errors="replace")
            if ready := _READY.search(said):
                return ready[1]
            if self._process.exit_code is not None:
                raise ServerDied(
                    f"The dashboard ended with {self._process.exit_code}:\n{said.strip()}"
                )
            time.sleep(0.05)
        raise ServerDied(f"The dashboard did not start in {PATIENCE_S:.0f} s:\n{said.strip()}")
