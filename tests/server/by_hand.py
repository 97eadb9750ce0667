"""HTTP that no library writes: each line as it is given, and all that comes back."""

from __future__ import annotations

import io
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from http.client import parse_headers

from lens_caller import PATIENCE_S, Lens


@dataclass(frozen=True)
class Told:
    """One answer; `rest` is what came after it, which should be nothing."""

    status: int
    headers: Message
    content: bytes
    rest: bytes


def post(lens: Lens, path: str, lines: Sequence[bytes], body: bytes) -> Told:
    """With the key, and these lines beside it in the head."""
    head = [
        b"POST " + path.encode() + b" HTTP/1.1",
        b"Host: localhost",
        b"Authorization: " + lens.server.authorization()["Authorization"].encode(),
        b"Content-Length: %d" % len(body),
        b"Connection: close",
        *lines,
    ]
    with socket.create_connection(("127.0.0.1", lens.server.ports.inference), PATIENCE_S) as wire:
        wire.sendall(b"\r\n".join(head) + b"\r\n\r\n" + body)
        came = io.BytesIO(b"".join(iter(lambda: wire.recv(1 << 16), b"")))
    _, status, *_ = came.readline().split()
    headers = parse_headers(came)
    content = came.read(int(headers["Content-Length"]))
    return Told(int(status), headers, content, came.read())
