"""HTTP that no library writes: each line of its head as it is given."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPResponse

from lens_caller import PATIENCE_S, Lens


@dataclass(frozen=True)
class Told:
    """What came back."""

    status: int
    headers: Message
    content: bytes


def post(lens: Lens, path: str, lines: Sequence[bytes], body: bytes) -> Told:
    """With the key, and these lines beside it in the head."""
    head = [
        b"POST " + path.encode() + b" HTTP/1.1",
        b"Host: localhost",
        b"Authorization: " + lens.server.authorization()["Authorization"].encode(),
        b"Content-Length: %d" % len(body),
        *lines,
    ]
    with socket.create_connection(("127.0.0.1", lens.server.ports.inference), PATIENCE_S) as wire:
        wire.sendall(b"\r\n".join(head) + b"\r\n\r\n" + body)
        with HTTPResponse(wire) as answer:
            answer.begin()
            return Told(answer.status, answer.headers, answer.read())
