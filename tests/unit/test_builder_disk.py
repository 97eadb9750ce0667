"""A disk that is full while an archive is written: a sentence, no half archive, and the old one."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from grey_recipe import make_recipe

from servelens_archives.instrumenting import Change, instrument

# They write whole archives, in processes that import torch anew.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such limit"),
]

MANIFEST = '{"model": {"modelName": "old", "modelVersion": "1.0", "handler": "image_classifier"}}'
HALF = 200_000


@dataclass(frozen=True)
class Full:
    """A command that is asked to write an archive, and the bytes that a file may have: enough for
    each that it stages, and too few for the archive."""

    words: Callable[[Path, Path], list[str | Path]]
    room: int


def building(folder: Path, out: Path) -> list[str | Path]:
    return ["build", make_recipe(folder / "recipe"), "--out", out]


def instrumenting(folder: Path, out: Path) -> list[str | Path]:
    return ["instrument", stock_archive(folder), "--out", out / "new.mar", "--no-look"]


def undoing(folder: Path, out: Path) -> list[str | Path]:
    with_lens = instrument(stock_archive(folder), folder / "lens.mar", Change(), look=False)
    return ["instrument", with_lens, "--out", out / "back.mar", "--undo"]


def stock_archive(folder: Path) -> Path:
    path = folder / "old.mar"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("MAR-INF/MANIFEST.json", MANIFEST)
        for name in ("weights.pt", "more.pt"):
            packed.writestr(name, bytes(HALF))
    return path


def run_with(
    room: int, words: list[str | Path], temporary: Path
) -> subprocess.CompletedProcess[str]:
    """Each file may have so many bytes: what is written beyond is refused, as by a full disk."""
    command, *arguments = words
    return subprocess.run(
        (sys.executable, "-m", f"servelens_archives.{command}", *arguments),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "full",
    [
        pytest.param(Full(building, 40_000), id="build"),
        pytest.param(Full(instrumenting, 2 * HALF), id="instrument"),
        pytest.param(Full(undoing, 2 * HALF), id="undo"),
    ],
)
def test_a_full_disk_is_told_and_takes_nothing(tmp_path: Path, full: Full) -> None:
    out, temporary = tmp_path / "store", tmp_path / "tmp"
    out.mkdir()
    temporary.mkdir()
    (out / "tiny.mar").write_bytes(b"the old one")
    ended = run_with(full.room, full.words(tmp_path, out), temporary)
    assert ended.returncode == 1
    assert "could not be written: File too large" in ended.stderr
    assert f"in {temporary}, and once where it goes" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert [path.name for path in out.iterdir()] == ["tiny.mar"]
    assert (out / "tiny.mar").read_bytes() == b"the old one"
    assert list(temporary.iterdir()) == []
