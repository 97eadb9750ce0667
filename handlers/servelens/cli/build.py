"""servelens build: recipes in, archives out; the command behind scripts/build, under this name."""

from __future__ import annotations

import typer

from servelens.cli.exits import Exit, say

# All words go through, --help too: what may be asked is declared there, once.
SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def build(context: typer.Context) -> None:
    """Build archives from recipes; needs the extra `server`. See: servelens build --help."""
    try:
        from servelens_archives.build import run
    except ImportError as error:
        say(
            f"building needs what runs a model, and it is not installed: {error}. "
            "pip install 'servelens[server]' brings it"
        )
        raise typer.Exit(Exit.HERE) from error
    raise typer.Exit(run(context.args, "servelens build"))
