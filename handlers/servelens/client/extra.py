"""Libraries that not everybody needs: imported when used, and missed in whole sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from servelens.client.errors import MissingExtra


@contextmanager
def needs(library: str, purpose: str, extra: str = "notebook") -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingExtra(
            f"{purpose} need {library}, which is not installed; "
            f"pip install 'servelens[{extra}]' brings it"
        ) from error
