"""Whether a server answers, lets us in, and serves models that can be looked into."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from servelens.cli.checks.finding import Finding
from servelens.client import ClientError, NoKey, Refused, Server, Version

HOW_TO_SERVE = "start one with scripts/serve, or name another with --url and --management"
HOW_TO_OPEN = "name the key_file.json in the folder that the server was started in with --keys"
HOW_TO_RENEW = "start the server anew, or have it write new keys: GET /token of its management API"
HOW_TO_CLOSE = "chmod 600 it: whoever reads it can load code into the server"
HOW_TO_REBUILD = "if it is no ServeLens archive it predicts and no more; build one: servelens build"
HOW_TO_REVIVE = "look for its error in the server's logs/model_log.log"


def check_key_file(path: Path) -> Finding:
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))
        mode = stat.S_IMODE(path.stat().st_mode)
        expired = [door for door, key in keys.items() if _is_past(key.get("expiration time"))]
    except (OSError, ValueError, AttributeError) as error:
        return Finding("key file", f"{path} cannot be read: {error}", HOW_TO_OPEN)
    if expired:
        return Finding("key file", f"expired: {', '.join(expired)}", HOW_TO_RENEW)
    if mode & 0o077:
        return Finding("key file", f"others may read it: mode {mode:o}", f"{HOW_TO_CLOSE}: {path}")
    return Finding("key file", f"{path}, with keys for {', '.join(keys)}")


def _is_past(moment: Any) -> bool:
    """Seconds of the clock have nine digits behind the point there; a key may have no end."""
    if not isinstance(moment, str):
        return False
    return datetime.fromisoformat(moment[:19]).replace(tzinfo=UTC) < datetime.now(UTC)


def check_health(server: Server) -> tuple[Finding, bool]:
    """Also whether a server is there at all, though it may not let us in."""
    name = f"server {server.url}"
    try:
        said = server.health()
    except (NoKey, Refused) as error:
        return Finding(name, str(error), HOW_TO_OPEN), True
    except ClientError as error:
        return Finding(name, str(error), HOW_TO_SERVE), False
    if said != "Healthy":
        return Finding(name, said, "see below which model has no worker", optional=True), True
    return Finding(name, said), True


def check_models(server: Server, max_response: int) -> Iterator[Finding]:
    """For a server that is healthy; `max_response` is its own limit."""
    name = f"management {server.management}"
    try:
        names = sorted(server.models())
        versions = [version for model in names for version in server.versions(model)]
    except (NoKey, Refused) as error:
        yield Finding(name, str(error), HOW_TO_OPEN)
        return
    except ClientError as error:
        yield Finding(name, str(error), HOW_TO_SERVE)
        return
    if not versions:
        yield Finding(name, "no model is registered", "servelens register ARCHIVE", optional=True)
    else:
        yield Finding(name, f"models: {', '.join(names)}")
    for version in versions:
        yield from _model(server, version, max_response)


def _model(server: Server, model: Version, max_response: int) -> Iterator[Finding]:
    name = f"model {model.name} {model.version}"
    if not model.is_ready:
        states = ", ".join(worker.status for worker in model.workers) or "none"
        yield Finding(name, f"no worker is ready (workers: {states})", HOW_TO_REVIVE)
        return
    try:
        capability = server.capability(model.name, version=model.version)
        limit = capability["limits"]["response_bytes"]
        methods = sum(bool(method["supported"]) for method in capability["methods"])
        captum = capability["versions"]["captum"] or "none"
    except ClientError as error:
        yield Finding(name, str(error), HOW_TO_REBUILD, optional=True)
        return
    except (KeyError, TypeError) as error:
        yield Finding(name, f"its capability document lacks {error}", HOW_TO_REBUILD)
        return
    seen = f"{methods} methods, Captum there: {captum}, answers of at most {limit:,} bytes"
    yield Finding(name, seen, _limit_mended(limit, max_response))


def _limit_mended(limit: int, max_response: int) -> str | None:
    if limit < max_response:
        return None
    return (
        f"an answer above the server's {max_response:,} bytes kills the worker: raise "
        f"max_response_size in its config.properties above {limit:,}"
    )
