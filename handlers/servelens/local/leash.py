"""Become another program that the kernel ends when the one who started us is gone.

    python -IS leash.py PARENT_PID COMMAND [ARGUMENT ...]

Even SIGKILL, after which a parent can stop nobody, then leaves no Java behind. It is a program of
its own because the alternative, Python code between fork and exec, may hang where threads run. Only
Linux knows such a signal; elsewhere the command is started as it is. What Linux watches is the
thread that started the command: it has to live as long as the command should.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def on_leash(command: Sequence[str]) -> list[str]:
    """The command to start instead, so that ``command`` ends with this process."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-IS", __file__, str(os.getpid()), *command]


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == parent:  # or else it was gone before the kernel knew of our wish
        os.execvp(command[0], command)


if __name__ == "__main__":
    main()
