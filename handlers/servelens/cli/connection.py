"""The server that a command asks, and the model.

The client is imported when a command runs, so that `servelens --help` need not wait for NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from servelens.cli.exits import errors_told

if TYPE_CHECKING:
    from servelens.client import Server


@contextmanager
def connected(url: str, management: str, keys: Path | None, timeout_s: float) -> Iterator[Server]:
    from servelens.client import KeyFile, Server, keys_from_environment

    opened = keys_from_environment() if keys is None else KeyFile(keys)
    with errors_told(), Server(url, management, opened, timeout_s) as server:
        yield server


def chosen(server: Server, model: str | None) -> str:
    """The model that was named, or the only one that there is."""
    if model is not None:
        return model
    names = server.models()
    if len(names) != 1:
        listed = ", ".join(sorted(names)) or "none is registered"
        raise typer.BadParameter(f"say which model with --model: {listed}")
    return names[0]
