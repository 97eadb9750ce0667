"""servelens build: recipes in, archives out; the command behind scripts/build, under this name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from servelens.cli.exits import Exit, say

# All words go through, --help too: what may be asked is declared there, once.
SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def build(context: typer.Context) -> None:
    """Build archives from recipes; needs the extra `server`. See: servelens build --help."""
    with server_installed("building"):
        from servelens_archives.build import run
    raise typer.Exit(run(context.args, "servelens build"))


@contextmanager
def server_installed(doing: str) -> Iterator[None]:
    """What makes archives is imported inside, and is not installed everywhere."""
    try:
        yield
    except ImportError as error:
        say(
            f"{doing} needs what runs a model, and it is not installed: {error}. "
            "pip install 'servelens[server]' brings it"
        )
        raise typer.Exit(Exit.HERE) from error
