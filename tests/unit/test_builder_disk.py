"""A disk that is full while an archive is built: a sentence, no half archive, and the old one."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from grey_recipe import make_recipe

# It builds whole archives, in processes that import torch anew.
pytestmark = pytest.mark.slow

ROOM = 40_000


def build_with(
    room: int, recipe: Path, out: Path, temporary: Path
) -> subprocess.CompletedProcess[str]:
    """Each file may have so many bytes: what is written beyond is refused, as by a full disk."""
    command = (sys.executable, "-m", "servelens_archives.build", recipe, "--out", out)
    return subprocess.run(
        command,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such limit")
def test_a_full_disk_is_told_and_takes_nothing(tmp_path: Path) -> None:
    out, temporary = tmp_path / "store", tmp_path / "tmp"
    out.mkdir()
    temporary.mkdir()
    (out / "tiny.mar").write_bytes(b"the old one")
    ended = build_with(ROOM, make_recipe(tmp_path / "recipe"), out, temporary)
    assert ended.returncode == 1
    assert "could not be written: File too large" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [path.name for path in out.iterdir()] == ["tiny.mar"]
    assert (out / "tiny.mar").read_bytes() == b"the old one"
    assert list(temporary.iterdir()) == []
