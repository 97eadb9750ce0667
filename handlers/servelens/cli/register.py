"""servelens register: an archive of the server's store, with workers that are ready."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from servelens.cli import options
from servelens.cli.connection import connected
from servelens.cli.screen import print_json, print_line

PATIENCE_S = 600.0

Archive = Annotated[
    str, typer.Argument(metavar="ARCHIVE", help="Its file name in the server's model store.")
]
Name = Annotated[str | None, typer.Option(help="Else the archive's own, without .mar.")]
Workers = Annotated[int, typer.Option(min=0, help="How many processes answer.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Else the archive's own, or 1.")]
BatchDelay = Annotated[
    int | None, typer.Option(min=1, metavar="MS", help="How long a batch waits to fill.")
]


def register(
    archive: Archive,
    name: Name = None,
    workers: Workers = 1,
    batch_size: BatchSize = None,
    batch_delay: BatchDelay = None,
    url: options.Url = options.INFERENCE_URL,
    management: options.Management = options.MANAGEMENT_URL,
    keys: options.Keys = None,
    timeout: options.Timeout = PATIENCE_S,
    as_json: options.Json = False,
) -> None:
    """Register an archive and wait until its workers are ready."""
    name = name or Path(archive).stem
    batching = {"batch_size": batch_size, "max_batch_delay": batch_delay}
    given = {word: value for word, value in batching.items() if value is not None}
    with connected(url, management, keys, timeout) as server:
        server.register(archive, name, workers=workers, patience_s=timeout, **given)
        registered = server.describe(name)
    ready = sum(worker.status == "READY" for worker in registered.workers)
    if as_json:
        print_json({"model": name, "version": registered.version, "ready": ready})
    else:
        print_line(f"{name} {registered.version} is registered, with {ready} workers ready")
