"""servelens models: what is registered, and whether it can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from servelens.cli import options
from servelens.cli.connection import connected
from servelens.cli.screen import print_json, print_table

if TYPE_CHECKING:
    from servelens.client import Version

HEAD = ("model", "version", "archive", "workers ready", "batch size", "batch delay")


def models(
    url: options.Url = options.INFERENCE_URL,
    management: options.Management = options.MANAGEMENT_URL,
    keys: options.Keys = None,
    timeout: options.Timeout = options.PATIENCE_S,
    as_json: options.Json = False,
) -> None:
    """List the registered models and their workers."""
    with connected(url, management, keys, timeout) as server:
        versions = [v for name in sorted(server.models()) for v in server.versions(name)]
    rows = [_row(version) for version in versions]
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table(f"{len(rows)} at {management}", HEAD, (_cells(row) for row in rows))


def _row(version: Version) -> dict[str, Any]:
    return {
        "model": version.name,
        "version": version.version,
        "archive": version.archive,
        "workers": len(version.workers),
        "ready": sum(worker.status == "READY" for worker in version.workers),
        "batch_size": version.batch_size,
        "batch_delay_ms": version.batch_delay_ms,
    }


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    ready = f"{row['ready']} of {row['workers']}"
    batching = row["batch_size"], f"{row['batch_delay_ms']} ms"
    return row["model"], row["version"], row["archive"], ready, *batching
