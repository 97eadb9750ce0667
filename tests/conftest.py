"""What every test has: temporary files in a folder of the run's own, and a mark for its kind."""

from __future__ import annotations

import builtins
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

FOLDERS_OF_A_KIND = ("contract", "engine", "server", "browser", "docs", "peers", "floor")
KINDS = ("unit", "slow", *FOLDERS_OF_A_KIND)
# A busy machine makes no test fail; `scripts/test fuzz` takes more than 100 examples a property.
settings.register_profile("daily", deadline=None)
settings.register_profile("nightly", max_examples=10_000, deadline=None)
settings.load_profile("daily")
_zip = zip
_private_temporary = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """torch-model-archiver deletes ``$TMPDIR/<model name>``, so the system's own is never used."""
    private = Path(tempfile.mkdtemp(prefix="lens-"))
    config.stash[_private_temporary] = private
    os.environ["TMPDIR"] = tempfile.tempdir = str(private)
    if sys.version_info < (3, 10):
        builtins.zip = zip_of_tests


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_private_temporary], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test is marked by its folder, and is a unit test where nothing says otherwise."""
    for item in items:
        for folder in FOLDERS_OF_A_KIND:
            if folder in item.path.relative_to(Path(__file__).parent).parts[:-1]:
                item.add_marker(folder)
            elif item.get_closest_marker(folder):
                # scripts/test looks for a part's tests in the part's folders alone.
                raise pytest.UsageError(f"{item.nodeid} is marked {folder} outside tests/{folder}")
        if not any(item.get_closest_marker(kind) for kind in KINDS):
            item.add_marker("unit")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).parent.parent


def zip_of_tests(*series: Iterable[object], **options: bool) -> Iterator[tuple[object, ...]]:
    """Python 3.9's zip knows no `strict`. Tests get one that does; what they test does not."""
    caller = Path(sys._getframe(1).f_code.co_filename)
    if "strict" not in options or Path(__file__).parent not in caller.parents:
        return _zip(*series, **options)
    columns = [list(each) for each in series]
    if options["strict"] and len({len(column) for column in columns}) > 1:
        raise ValueError("zip() arguments are of different lengths")
    return _zip(*columns)
