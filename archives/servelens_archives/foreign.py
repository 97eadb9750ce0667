"""Files of weights from anywhere: what is in them, seen by a job that can do no harm.

Nothing of such a file is opened in this process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from servelens.engine.folder.card import WEIGHTS_FILE
from servelens.engine.folder.loading import read_weights
from servelens_archives.child import run_job
from servelens_archives.drafting import Draft
from servelens_archives.errors import BuildError, WeightsError
from servelens_archives.unpickling import PICKLES, refuse_unsafe_torch

SUFFIXES = (*PICKLES, ".npz")
OPENING_SECONDS = 300.0


def open_foreign(path: Path, class_file: Path | None = None) -> dict[str, Tensor]:
    """The weights in a file from anywhere."""
    _check(path)
    with TemporaryDirectory(prefix="servelens-weights-") as scratch:
        arrays, report = Path(scratch) / WEIGHTS_FILE, Path(scratch) / "report.json"
        given = [path.resolve(), arrays, report, *([class_file] if class_file else [])]
        _run("open_weights", [str(one) for one in given], report, path)
        return read_weights(arrays)


def look_at(path: Path, architecture: str | None = None) -> Draft:
    """A recipe for the weights in a file, of an architecture that is found unless it is said."""
    _check(path)
    with TemporaryDirectory(prefix="servelens-look-") as scratch:
        report = Path(scratch) / "report.json"
        given = [str(path.resolve()), str(report), *([architecture] if architecture else [])]
        seen = _run("look", given, report, path)
    return Draft(seen["recipe"], tuple(seen["findings"]))


def _check(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise WeightsError(f"{path.name} is none of the weights files {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}")
    if path.suffix in PICKLES:
        refuse_unsafe_torch(torch.__version__)


def _run(job: str, given: list[str], report: Path, path: Path) -> Any:
    try:
        return run_job(
            ["-m", f"servelens_archives.{job}", *given],
            report,
            environment={**_same_packages(), "TMPDIR": str(report.parent)},
            seconds=OPENING_SECONDS,
        )
    except BuildError as error:
        raise WeightsError(f"{path.name} {error}") from None


def _same_packages() -> dict[str, str]:
    """The job imports what this process does, from where this process has it."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
