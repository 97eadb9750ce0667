"""servelens doctor: what is wrong, on this machine and with the server, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from servelens.cli import options
from servelens.cli.connection import connected
from servelens.cli.exits import Exit
from servelens.cli.screen import print_json, print_table

if TYPE_CHECKING:
    from servelens.cli.checks import Finding
    from servelens.client import Server

HEAD = ("", "looked at", "seen", "to mend it")
# TorchServe's own, which hold where its settings do not say otherwise.
DEFAULTS = {
    "inference_address": "http://127.0.0.1:8080",
    "management_address": "http://127.0.0.1:8081",
    "metrics_address": "http://127.0.0.1:8082",
    "grpc_inference_port": "7070",
    "grpc_management_port": "7071",
    "max_response_size": "6553500",
}

USUAL_CONFIG = Path("config.properties")

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help=f"The server's settings; else {USUAL_CONFIG}, if it is here.",
    ),
]


def doctor(
    config: Config = None,
    url: options.Url = options.INFERENCE_URL,
    management: options.Management = options.MANAGEMENT_URL,
    keys: options.Keys = None,
    timeout: options.Timeout = 30.0,
    as_json: options.Json = False,
) -> None:
    """Find what is wrong, here and there, and how to mend it.

    Looks at Java, packages, ports, keys, the server and its models, and exits 1 where something is
    wrong.
    """
    with connected(url, management, keys, timeout) as server:
        found = list(_findings(server, config, keys))
    if as_json:
        for finding in found:
            print_json({**asdict(finding), "is_problem": finding.is_problem})
    else:
        print_table("", HEAD, ((f.word, f.name, f.saw, f.mend or "") for f in found))
    raise typer.Exit(Exit.NOT_ALL if any(f.is_problem for f in found) else Exit.DONE)


def _findings(server: Server, config: Path | None, keys: Path | None) -> Iterator[Finding]:
    """Of a server that does not answer nothing more is asked."""
    from servelens.cli.checks import check_health, check_key_file, check_machine, check_models

    settings, complaint = _settings(config)
    if complaint is not None:
        yield complaint
    health, is_there = check_health(server)
    yield from check_machine(settings, urlsplit(server.url).port if is_there else None)
    if keys is not None:
        yield check_key_file(keys)
    yield health
    if not health.is_problem:
        yield from check_models(server, int(settings["max_response_size"]))


def _settings(config: Path | None) -> tuple[Mapping[str, str], Finding | None]:
    """Those of the file over TorchServe's own; a file that cannot be read is a finding."""
    if config is None and not USUAL_CONFIG.exists():
        return DEFAULTS, None
    return _read_settings(config or USUAL_CONFIG)


def _read_settings(config: Path) -> tuple[Mapping[str, str], Finding | None]:
    from servelens.cli.checks import Finding
    from servelens.local import LocalError
    from servelens.local.properties import read_properties

    mend = "mend that line, or name another file with --config"
    try:
        settings = {**DEFAULTS, **read_properties(config)}
        int(settings["max_response_size"])
    except LocalError as error:
        return DEFAULTS, Finding("settings", str(error), mend)
    except ValueError as error:
        return DEFAULTS, Finding("settings", f"max_response_size in {config}: {error}", mend)
    return settings, None
