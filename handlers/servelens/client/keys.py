"""The tokens of a TorchServe: it writes them to a file, changes them there, and tells nobody.

They come from that file, or from the environment:

SERVELENS_KEY_FILE        the path of the server's key_file.json; it goes before the other two
SERVELENS_INFERENCE_KEY   the token of the inference API itself
SERVELENS_MANAGEMENT_KEY  the token of the management API itself
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from servelens.client.errors import NoKey

INFERENCE = "inference"
MANAGEMENT = "management"
# TorchServe's word for the key that has new ones made.
MASTER = "API"
KEY_FILE_VARIABLE = "SERVELENS_KEY_FILE"
KEY_VARIABLES = {
    INFERENCE: "SERVELENS_INFERENCE_KEY",
    MANAGEMENT: "SERVELENS_MANAGEMENT_KEY",
}
# The server empties the file before it writes it anew, and has written it long before this is over.
HALF_WRITTEN_S = 0.05


class Keys(Protocol):
    def headers(self, door: str) -> dict[str, str]:
        """What opens `inference` or `management`; raises `NoKey` where that should be known."""


class KeyFile:
    """TorchServe's key_file.json; read at every call, since a rotated key is only in the file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def headers(self, door: str) -> dict[str, str]:
        try:
            key = self._entry(door)["key"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise NoKey(
                f"there is no {door} key in {self.path}: {error!r}; name the key_file.json in the "
                "folder that the server was started in"
            ) from error
        return _bearer(key, str(self.path))

    def has_run_out(self, door: str) -> bool:
        """By the file's own word. The key then opens nothing, so that a new one takes from nobody;
        see `Server.renew_key`."""
        try:
            until = self._entry(door)["expiration time"]
            return datetime.fromisoformat(until) <= datetime.now(UTC)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _entry(self, door: str) -> Any:
        try:
            return self._read()[door]
        except ValueError:
            time.sleep(HALF_WRITTEN_S)
            return self._read()[door]

    def _read(self) -> Any:
        return json.loads(self.path.read_text(encoding="utf-8"))


class Tokens:
    """Keys that are known themselves; a door without one is asked without."""

    def __init__(self, keys: Mapping[str, str], source: str = "the keys given") -> None:
        self._keys = dict(keys)
        self._source = source

    def headers(self, door: str) -> dict[str, str]:
        return _bearer(self._keys[door], self._source) if door in self._keys else {}


class NoKeys:
    """For a server that runs without tokens."""

    def headers(self, door: str) -> dict[str, str]:
        return {}


def keys_from_environment(environ: Mapping[str, str] | None = None) -> Keys:
    environ = os.environ if environ is None else environ
    if path := environ.get(KEY_FILE_VARIABLE):
        return KeyFile(Path(path))
    given = {door: name for door, name in KEY_VARIABLES.items() if environ.get(name)}
    if not given:
        return NoKeys()
    return Tokens({door: environ[name] for door, name in given.items()}, ", ".join(given.values()))


def _bearer(key: object, source: str) -> dict[str, str]:
    """A line break in a token would end the header, and what follows it would be another."""
    plain = isinstance(key, str) and key and key.isascii() and key.isprintable()
    if not plain or " " in str(key):
        raise NoKey(
            f"what {source} has for a key is none: it is empty, has blanks, or is no plain text"
        )
    return {"Authorization": f"Bearer {key}"}
