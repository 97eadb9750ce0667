"""TorchServe's Java front end as a process of ours, in a folder of its own.

``java`` is called here and not the ``torchserve`` command, because that command keeps one pid file
in the system's temporary folder, so that a machine can have but one server of it, puts itself
between us and the process we have to end, and does no more than build this same command line.

All that a server writes, its settings, keys, logs, unpacked archives and its workers' sockets, lies
in folders of its own. So any number of servers run beside each other.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from servelens.local.errors import BadConfig, ServerDied
from servelens.local.java import find_java
from servelens.local.ports import Ports
from servelens.local.process import OwnedProcess
from servelens.local.properties import write_properties

PATIENCE_S = 120.0
LONGEST_SOCKET_FOLDER = 85
_STARTED = "Model server started."
_BIND_FAILED = "Failed to bind to address"
_LAST_LOG_LINES = 25
_NOT_OURS = ("PYTHONPATH", "PYTHONHOME", "TS_CONFIG_FILE", "TS_MODEL_SERVER_HOME")


class FrontEnd:
    """``start`` returns when all doors are open; ``ports`` then says where they are.

    Keys, logs and settings go to ``work``; unpacked archives and sockets to ``temporary``.
    """

    def __init__(
        self,
        work: Path,
        temporary: Path,
        settings: Mapping[str, str],
        ports: Ports,
        environ: Mapping[str, str],
    ) -> None:
        self.work = work
        self.ports = ports
        self.logs = work / "logs"
        self.key_file = work / "key_file.json"
        self._temporary = _short_enough(temporary)
        self._settings = settings
        self._environ = environ
        self._process: OwnedProcess | None = None

    def start(self) -> None:
        """Where free ports are wished for, another process may take one before Java does."""
        wished = self.ports
        for _ in range(3):
            self.ports = wished.settled()
            self.key_file.unlink(missing_ok=True)
            self._process = self._launch()
            if self._is_up():
                return
        raise ServerDied(f"The server found no free ports in 3 tries:\n{self._console_tail()}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    @property
    def process(self) -> OwnedProcess:
        if self._process is None:
            raise ServerDied("The server has not been started.")
        return self._process

    def wait(self) -> NoReturn:
        """Returns never, for a server has no reason to end but ``stop``: raises ``ServerDied``."""
        while self.process.exit_code is None:
            time.sleep(0.2)
        raise self._death()

    def _launch(self) -> OwnedProcess:
        settings = {**self._settings, **self.ports.as_properties()}
        settings_file = self.work / "config.properties"
        write_properties(settings_file, settings)
        home = _torchserve_home()
        command = [
            str(find_java().path),
            f"-Dmodel_server_home={home}",
            f"-Djava.io.tmpdir={self._temporary}",
            *settings.get("vmargs", "").split(),
            *("-cp", str(home / "ts" / "frontend" / "*")),
            "org.pytorch.serve.ModelServer",
            *("--python", sys.executable),
            *("-f", str(settings_file)),
            "-ncs",
        ]
        return OwnedProcess(
            command, folder=self.work, environ=self._full_environ(), log=self.work / "console.log"
        )

    def _full_environ(self) -> dict[str, str]:
        """Ours, less what would put foreign code before an archive's or foreign settings in."""
        ours = {key: value for key, value in os.environ.items() if key not in _NOT_OURS}
        return {
            **ours,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), ours.get("PATH", "")]),
            "TMPDIR": str(self._temporary),
            "LOG_LOCATION": str(self.logs),
            "METRICS_LOCATION": str(self.logs),
            **self._environ,
        }

    def _is_up(self) -> bool:
        """Waits; False when a port was gone, so that others may be tried."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            ended = self.process.exit_code is not None
            console = self._console()
            if _STARTED in console:
                return True
            if ended and _BIND_FAILED in console:
                return False
            if ended:
                raise self._death()
            time.sleep(0.05)
        raise ServerDied(f"The server did not start in {PATIENCE_S:.0f} s:\n{self._console_tail()}")

    def _death(self) -> ServerDied:
        code = self.process.exit_code
        return ServerDied(f"The server ended by itself with {code}:\n{self._console_tail()}")

    def _console(self) -> str:
        return (self.work / "console.log").read_text(encoding="utf-8", errors="replace")

    def _console_tail(self) -> str:
        return "\n".join(self._console().splitlines()[-_LAST_LOG_LINES:])


def _short_enough(folder: Path) -> Path:
    """Workers listen on sockets in Java's temporary folder, whose paths the system keeps short."""
    if len(os.fsencode(folder)) > LONGEST_SOCKET_FOLDER:
        raise BadConfig(
            f"The path {folder} is too long to hold the workers' sockets; at most "
            f"{LONGEST_SOCKET_FOLDER} bytes are possible. Set TMPDIR to a shorter one."
        )
    return folder


def _torchserve_home() -> Path:
    """The folder that holds the ``ts`` package, found without importing it."""
    found = importlib.util.find_spec("ts")
    if found is None or found.origin is None:
        raise ServerDied("torchserve is not installed in this Python; run scripts/setup.")
    return Path(found.origin).resolve().parent.parent
