"""The tokens of a TorchServe: it writes them to a file, changes them there, and tells nobody."""

from __future__ import annotations

import json
from pathlib import Path

from servelens.client.errors import Unreachable

INFERENCE = "inference"
MANAGEMENT = "management"


class KeyFile:
    """TorchServe's key_file.json; read at every call, since a rotated key is only in the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def headers(self, door: str) -> dict[str, str]:
        try:
            key = json.loads(self.path.read_text(encoding="utf-8"))[door]["key"]
        except (OSError, ValueError, KeyError) as error:
            raise Unreachable(f"there is no {door} key in {self.path}: {error!r}") from error
        return {"Authorization": f"Bearer {key}"}


class NoKeys:
    """For a server that runs without tokens."""

    def headers(self, door: str) -> dict[str, str]:
        return {}
