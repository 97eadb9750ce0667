"""What every test has: temporary files in a folder of the run's own, and a mark for its kind."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

KINDS = ("unit", "engine", "server", "browser", "slow", "docs", "peers")
FOLDERS_OF_A_KIND = ("engine", "server", "browser", "docs", "peers")
_private_temporary = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """torch-model-archiver deletes ``$TMPDIR/<model name>``, so the system's own is never used."""
    private = Path(tempfile.mkdtemp(prefix="lens-"))
    config.stash[_private_temporary] = private
    os.environ["TMPDIR"] = tempfile.tempdir = str(private)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_private_temporary], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test is marked by its folder, and is a unit test where nothing says otherwise."""
    for item in items:
        for folder in FOLDERS_OF_A_KIND:
            if folder in item.path.relative_to(Path(__file__).parent).parts[:-1]:
                item.add_marker(folder)
        if not any(item.get_closest_marker(kind) for kind in KINDS):
            item.add_marker("unit")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).parent.parent
