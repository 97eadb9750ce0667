"""The notebook, run from its first cell to its last, shows what it shows in docs/."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
# In a process of its own, for what Jupyter leaves open when it is done. Its sockets are in the file
# system, where no other user of the machine can reach them.
RUN = """
import sys, nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient

source, folder, sockets, target = sys.argv[1:]
notebook = nbformat.read(source, 4)
kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=sockets)
place = {"metadata": {"path": folder}}
NotebookClient(notebook, km=kernel, timeout=300, resources=place).execute()
nbformat.write(notebook, target)
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shown(root: Path) -> nbformat.NotebookNode:
    return nbformat.read(root / "docs" / "from-weights-to-pictures.ipynb", 4)


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    folder = tmp_path_factory.mktemp("run")
    source = root / "docs" / "from-weights-to-pictures.ipynb"
    words = [source, source.parent, folder / "socket", folder / "run.ipynb"]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return nbformat.read(folder / "run.ipynb", 4)


def test_every_cell_shows_what_the_stored_one_shows(
    run: nbformat.NotebookNode, shown: nbformat.NotebookNode
) -> None:
    for got, stored in zip(run.cells, shown.cells, strict=True):
        assert kinds_of(got) == kinds_of(stored), got.source
        said, expected = (
            "".join(o.get("text", "") for o in c.get("outputs", [])) for c in (got, stored)
        )
        assert NUMBER.sub("#", said) == NUMBER.sub("#", expected)
        numbers, wanted = ([float(n) for n in NUMBER.findall(text)] for text in (said, expected))
        assert numbers == pytest.approx(wanted, rel=0.02, abs=1), got.source


def test_it_is_stored_with_pictures_and_without_paths(
    root: Path, shown: nbformat.NotebookNode
) -> None:
    outputs = [output for cell in shown.cells for output in cell.get("outputs", [])]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    pages = [o["data"]["text/html"] for o in outputs if "text/html" in o.get("data", {})]
    assert len(pictures) == 2
    assert pages[0].count("<img") == 3
    text = (root / "docs" / "from-weights-to-pictures.ipynb").read_text(encoding="utf-8")
    assert os.fspath(root) not in text
    assert "/tmp/" not in text


def kinds_of(cell: nbformat.NotebookNode) -> list[tuple[str, ...]]:
    """In order; in how many pieces a text came depends on the clock."""
    found: list[tuple[str, ...]] = []
    for output in cell.get("outputs", []):
        kind = (output.output_type, *sorted(output.get("data", {})))
        if kind != ("stream",) or found[-1:] != [kind]:
            found.append(kind)
    return found
