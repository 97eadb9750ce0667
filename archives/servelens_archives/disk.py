"""A disk on which an archive does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import gettempdir

from servelens_archives.errors import BuildError


@contextmanager
def disk_told_of(staged: str) -> Iterator[None]:
    """A full disk is nobody's bug, and whoever writes an archive is to know which one it is.

    `staged` is what the temporary folder holds until the archive is written.
    """
    try:
        yield
    except OSError as error:
        at = f" ({error.filename})" if error.filename else ""
        raise BuildError(
            f"the archive could not be written: {error.strerror or error}{at}; it needs room for "
            f"{staged} in {gettempdir()}, and once where it goes"
        ) from error
