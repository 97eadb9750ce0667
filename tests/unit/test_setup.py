"""scripts/setup, started from wherever a person happens to be."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """As much of a fresh clone as the set-up reads before it fetches anything."""
    folder = tmp_path / "clone"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(root / "scripts" / "setup", folder / "scripts")
    for path in (root / "pyproject.toml", *root.glob("requirements*.lock")):
        shutil.copy(path, folder)
    return folder


@pytest.mark.parametrize(
    ("there", "called"),
    [(".", "scripts/setup"), ("scripts", "./setup"), ("..", "clone/scripts/setup")],
)
def test_the_set_up_starts_from_any_folder(clone: Path, there: str, called: str) -> None:
    done = subprocess.run(
        ["bash", called],
        cwd=clone / there,
        env={**os.environ, "SERVELENS_PYTHON": "/bin/false"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = "setup: SERVELENS_PYTHON=/bin/false is no Python 3.11 or newer.\n"
    assert (done.returncode, done.stderr) == (1, said)
