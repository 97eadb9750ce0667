"""A real server on loopback, with a script: what it does with each request that comes."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Deed = Callable[["Asked"], None]


class Asked(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def _serve(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        deed = self.script.note(self)
        deed(self)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that HTTP's verbs give

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(
        self, status: int, body: bytes, kind: str = "application/json", **headers: str
    ) -> None:
        self.send_response(status)
        named = {"Content-Type": kind, "Content-Length": str(len(body)), **headers}
        for name, value in named.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


@dataclass
class Script:
    """One deed a request, the last one for all that follow; `heard` is what came."""

    url: str
    deeds: Sequence[Deed]
    heard: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, asked: Asked) -> Deed:
        with self.lock:
            number = len(self.heard)
            self.heard.append((asked.command, asked.path, dict(asked.headers), asked.body))
        return self.deeds[min(number, len(self.deeds) - 1)]


@contextmanager
def serving(*deeds: Deed) -> Iterator[Script]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
    script = Script(f"http://127.0.0.1:{server.server_port}", deeds)
    server.RequestHandlerClass = type("Scripted", (Asked,), {"script": script})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        script.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def says(value: Any, status: int = 200, **headers: str) -> Deed:
    return lambda asked: asked.answer(status, json.dumps(value).encode(), **headers)


def says_bytes(body: bytes, kind: str, status: int = 200) -> Deed:
    return lambda asked: asked.answer(status, body, kind)


def hangs_up(asked: Asked) -> None:
    """The connection breaks before a word was said."""
    asked.hang_up()


def stays_silent(asked: Asked) -> None:
    """Until the test is over."""
    asked.script.let_go.wait()
    asked.hang_up()


def breaks_off(body: bytes, status: int = 200, kind: str = "application/json") -> Deed:
    """Ten bytes more are announced than come."""

    def deed(asked: Asked) -> None:
        asked.send_response(status)
        asked.send_header("Content-Type", kind)
        asked.send_header("Content-Length", str(len(body) + 10))
        asked.end_headers()
        asked.wfile.write(body)
        asked.wfile.flush()
        asked.hang_up()

    return deed


def falls_silent(body: bytes) -> Deed:
    """In the middle of its answer."""

    def deed(asked: Asked) -> None:
        asked.send_response(200)
        asked.send_header("Content-Length", str(len(body) + 10))
        asked.end_headers()
        asked.wfile.write(body)
        asked.wfile.flush()
        asked.script.let_go.wait()
        asked.hang_up()

    return deed


def sends_lines(*lines: bytes, ends: bool = True) -> Deed:
    """In chunks, as TorchServe streams; without its end the answer breaks off."""

    def deed(asked: Asked) -> None:
        asked.send_response(200)
        asked.send_header("Content-Type", "application/x-ndjson")
        asked.send_header("Transfer-Encoding", "chunked")
        asked.end_headers()
        for line in lines:
            asked.wfile.write(f"{len(line) + 1:x}\r\n".encode() + line + b"\n\r\n")
            asked.wfile.flush()
        if ends:
            asked.wfile.write(b"0\r\n\r\n")
        else:
            asked.hang_up()

    return deed


def refused_port() -> str:
    """An address on which nobody listens."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{door.getsockname()[1]}"
