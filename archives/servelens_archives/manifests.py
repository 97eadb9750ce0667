"""An archive's manifest: what TorchServe is told of it, read as if a stranger had written it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servelens.protocol import shorten
from servelens_archives.checks import NAME
from servelens_archives.errors import ArchiveError

MANIFEST_FILE = "MAR-INF/MANIFEST.json"
MOST_BYTES = 1 << 20
RUNTIMES = ("python", "python3")
# Keys of the model that name a file of the archive; a handler may also be one of TorchServe's own.
FILES = ("serializedFile", "modelFile", "configFile", "requirementsFile")


@dataclass(frozen=True)
class Manifest:
    """`content` is all of it, with whatever else stands there."""

    content: Mapping[str, Any]
    name: str
    version: str
    handler: str

    @property
    def handler_file(self) -> str:
        """`a/handler.py:function` and `handler` are both TorchServe's spellings of handler.py."""
        name = self.handler.split(":")[0].split("/")[-1]
        return name if name.endswith(".py") else f"{name}.py"


def read_manifest(folder: Path, names: Sequence[str]) -> Manifest:
    """That of an unpacked archive; raises ArchiveError."""
    content = _read(folder / MANIFEST_FILE)
    model = content.get("model")
    if not isinstance(model, dict):
        raise ArchiveError(f"{MANIFEST_FILE} has no object 'model'")
    runtime = content.get("runtime", RUNTIMES[0])
    if runtime not in RUNTIMES:
        raise ArchiveError(
            f"{MANIFEST_FILE} has the runtime {shorten(runtime)}; only what runs in "
            f"{' or '.join(RUNTIMES)} can be instrumented"
        )
    name, handler = (_text(model, key) for key in ("modelName", "handler"))
    version = _text(model, "modelVersion") if model.get("modelVersion") is not None else "1.0"
    for key, value in (("modelName", name), ("modelVersion", version)):
        if not NAME.fullmatch(value) or len(value) > 100:
            raise ArchiveError(f"{MANIFEST_FILE} has {key} {shorten(value)}, which is no name")
    for key in FILES:
        if model.get(key) is not None and _text(model, key) not in names:
            raise ArchiveError(
                f"{MANIFEST_FILE} has {key} {shorten(model[key])}, and no such file is in the "
                "archive"
            )
    return Manifest(content, name, version, handler)


def _read(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError:
        raise ArchiveError(f"it has no {MANIFEST_FILE}, so that it is no .mar") from None
    if len(text) > MOST_BYTES:
        raise ArchiveError(f"{MANIFEST_FILE} has more than {MOST_BYTES:,} bytes")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ArchiveError(f"{MANIFEST_FILE} is no JSON") from None
    if not isinstance(content, dict):
        raise ArchiveError(f"{MANIFEST_FILE} must hold an object, not {shorten(content)}")
    return content


def _text(model: Mapping[str, Any], key: str) -> str:
    value = model.get(key)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ArchiveError(f"{MANIFEST_FILE} must have {key} as text, not {shorten(value)}")
    return value
