"""What goes over the wire and what comes back, as bytes: forms there, documents and frames here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
import requests

from servelens.client.errors import BadAnswer, BadName
from servelens.codec import NPZ_TYPE, read_json, read_npz
from servelens.protocol import shorten

IMAGE_TYPE = {"Content-Type": "application/octet-stream"}
# Of float32, in which the server computes.
LARGEST = 2.0**128


def address(door: str, model: str, version: str | None = None) -> str:
    """The path of a model's door; whatever a name holds, it leads to no other."""
    parts = (model,) if version is None else (model, version)
    return "/".join((f"/{door}", *map(_segment, parts)))


def _segment(name: str) -> str:
    """Dots alone are a way through the server's doors, and no encoding keeps them from it."""
    if not name.strip(".") or not name.isprintable():
        raise BadName(f"{shorten(name)} is no name of a model or a version")
    return quote(name, safe="")


def form(image: bytes | None, keys: Mapping[str, Any]) -> dict[str, Any]:
    """A multipart form; a key's value is written as JSON, so that it is read as what it is."""
    fields: dict[str, tuple[str | None, bytes | str]] = {
        name: (None, value if name == "id" else json.dumps(value)) for name, value in keys.items()
    }
    if image is not None:
        fields["data"] = ("image", image)
    return {"files": fields}


def read_answer(answer: requests.Response) -> Any:
    """A document of either encoding, its tensors as arrays."""
    return _read(read_npz if answer.headers.get("Content-Type") == NPZ_TYPE else read_json, answer)


def read_plain(answer: requests.Response) -> Any:
    """TorchServe's own JSON."""
    return _read(json.loads, answer)


def read_frame(line: bytes) -> Any:
    return _parsed(read_json, line, "a frame of the stream")


def _read(parse: Any, answer: requests.Response) -> Any:
    return _parsed(parse, answer.content, answer.url)


def _parsed(parse: Any, body: bytes, source: str) -> Any:
    """Of bytes that are no document, zip archives among them, every parser has its own errors."""
    try:
        parsed = parse(body)
        _check_numbers(parsed)
        return parsed
    except Exception as error:
        raise BadAnswer(
            f"{source} answered what is no document: {shorten(body[:60])} ({error})"
        ) from error


def _check_numbers(value: Any) -> None:
    """All are finite, as the protocol promises, and none is longer than any number of its own."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _check_numbers(item)
    elif isinstance(value, np.ndarray) and not np.isfinite(value).all():
        raise ValueError("a tensor in it is not finite")
    elif isinstance(value, (int, float)) and not abs(value) <= LARGEST:
        raise ValueError("a number in it is not finite, or too large to be meant")
