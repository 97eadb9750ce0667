"""What goes over the wire and what comes back, as bytes: forms there, documents and frames here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import requests

from servelens.client.errors import BadAnswer
from servelens.codec import NPZ_TYPE, read_json, read_npz
from servelens.protocol import shorten

IMAGE_TYPE = {"Content-Type": "application/octet-stream"}


def address(door: str, model: str, version: str | None = None) -> str:
    """The path of a model's door; a name may hold no further slash, dot or question mark."""
    parts = (model,) if version is None else (model, version)
    return "/".join((f"/{door}", *(quote(part, safe="") for part in parts)))


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
        return parse(body)
    except Exception as error:
        raise BadAnswer(
            f"{source} answered what is no document: {shorten(body[:60])} ({error})"
        ) from error
