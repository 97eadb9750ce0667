"""servelens instrument: a lens beside the handler of an archive that exists, and out again."""

from __future__ import annotations

import typer

from servelens.cli.build import server_installed


def instrument(context: typer.Context) -> None:
    """Put a lens into an archive that exists, or take it out. See: servelens instrument --help."""
    with server_installed("instrumenting"):
        from servelens_archives.instrument import run
    raise typer.Exit(run(context.args, "servelens instrument"))
