"""The Java half of a TorchServe worker, as far as a handler can tell it from the real one.

Requests are written as the front end's encoder writes them and read by TorchServe's own Python;
replies are read as its decoder does, and handed to their callers by the rules of its
BatchAggregator, RestJob and GRPCJob (0.12). Where those would break a connection or hang a worker,
this raises.
"""

from __future__ import annotations

import io
import json
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ts
import yaml
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl
from ts.model_loader import TsModelLoader
from ts.protocol.otf_message_handler import retrieve_msg
from ts.service import Service

import lens_handler

LARGEST_FIELD = 6_553_500
METRICS = Path(ts.__file__).parent / "configs" / "metrics.yaml"
REST = {"Host": "127.0.0.1:8080", "explain": "False"}


class Broken(AssertionError):
    """What the real front end would answer with a dead worker or a garbled connection."""


@dataclass(frozen=True)
class Part:
    name: str
    content: bytes
    content_type: str = ""


@dataclass(frozen=True)
class Call:
    """What one caller sends; `door` is "rest", "unary" or "stream", the last two gRPC's."""

    parts: Sequence[Part]
    headers: Mapping[str, str] = field(default_factory=lambda: dict(REST))
    door: str = "rest"


def raw(content: bytes, content_type: str = "", **headers: str) -> Call:
    return Call([Part("body", content, content_type)], {**REST, **headers})


def as_json(value: Any, **headers: str) -> Call:
    return raw(json.dumps(value).encode(), "application/json", **headers)


def form(image: bytes | None = None, headers: Mapping[str, str] | None = None, **keys: str) -> Call:
    parts = [Part(name, text.encode()) for name, text in keys.items()]
    if image is not None:
        parts.insert(0, Part("data", image, "application/octet-stream"))
    return Call(parts, {**REST, **(headers or {})})


def grpc(door: str = "unary", **fields: bytes) -> Call:
    return Call([Part(name, content) for name, content in fields.items()], {}, door)


def describe() -> Call:
    """What GET /models/m?customized=true becomes."""
    return Call([], {"Host": "127.0.0.1:8081", "describe": "True"})


@dataclass
class Answer:
    """What one caller gets."""

    door: str
    status: int = 0
    phrase: str = ""
    content_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    # Numbers of the worker's messages in which something came.
    messages: list[int] = field(default_factory=list)
    streams: bool = False
    done: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    def take(self, number: int, prediction: _Prediction) -> None:
        if self.done:
            raise Broken("a reply came for a caller who had all of it already")
        following = prediction.headers.get("ts_stream_next")
        if self.door == "rest":
            self._take_over_http(prediction, following)
        else:
            self.done = self.door == "unary" or following == "false"
        self.chunks.append(prediction.body)
        self.messages.append(number)

    def _take_over_http(self, prediction: _Prediction, following: str | None) -> None:
        if not self.chunks:
            self.status, self.phrase = prediction.status, prediction.phrase
            self.content_type, self.headers = prediction.content_type, prediction.headers
            if following == "false":
                raise Broken("a stream's last chunk came without a first one, which has the head")
        elif following is None:
            raise Broken("a whole reply came amid a stream")
        self.streams = following is not None
        self.done = following != "true"


@dataclass(frozen=True)
class _Prediction:
    request_id: str
    content_type: str
    status: int
    phrase: str
    headers: dict[str, str]
    body: bytes


class FrontEnd:
    """Sends batches to a worker's service and hands out what comes back."""

    def __init__(self, service: Service) -> None:
        self.service = service
        service.set_cl_socket(self)
        self._answers: dict[str, Answer] = {}
        self._waiting: dict[str, Answer] = {}
        self._messages = 0

    def send(self, *calls: Call) -> list[Answer]:
        """The calls as one batch."""
        self._messages = 0
        self._answers = {f"id-{i}": Answer(call.door) for i, call in enumerate(calls)}
        self._waiting = dict(self._answers)
        command, batch = retrieve_msg(_Socket(_encode(calls)))
        assert command == b"I"
        self.sendall(self.service.predict(batch))
        if self._waiting:
            raise Broken("TorchServe still waits for a message of this batch")
        unanswered = [name for name, answer in self._answers.items() if not answer.done]
        if unanswered:
            raise Broken(f"no last word for {unanswered}")
        return list(self._answers.values())

    def ask(self, call: Call) -> Answer:
        (answer,) = self.send(call)
        return answer

    def sendall(self, message: bytes) -> None:
        """One message from the worker, as BatchAggregator.sendResponse takes it."""
        if not self._waiting:
            raise Broken("a message came after the batch was done")
        done = True
        for prediction in _decode(message):
            if prediction.request_id not in self._waiting:
                raise Broken(f"Unexpected job in sendResponse(): {prediction.request_id}")
            if prediction.headers.get("ts_stream_next") == "true":
                done = False
            self._waiting[prediction.request_id].take(self._messages, prediction)
        self._messages += 1
        if done:
            self._waiting = {}


def load(
    folder: Path,
    config: Mapping[str, Any] | None = None,
    *,
    gpu_id: int | None = None,
    handler: str = Path(lens_handler.__file__).name,
    **manifest: Any,
) -> Service:
    """The model folder as TorchServe's own loader brings it up; the code is the repository's."""
    (folder / "MAR-INF").mkdir(exist_ok=True)
    model = {"modelName": "tiny", "configFile": "model-config.yaml"}
    (folder / "MAR-INF" / "MANIFEST.json").write_text(json.dumps({"model": model, **manifest}))
    (folder / "model-config.yaml").write_text(yaml.safe_dump(dict(config or {"maxWorkers": 1})))
    loader = TsModelLoader()
    return loader.load("tiny", str(folder), handler, gpu_id, 8, metrics_cache=_metrics())


def _metrics() -> MetricsCacheYamlImpl:
    with warnings.catch_warnings():
        # TorchServe leaves closing the file to Python.
        warnings.simplefilter("ignore", ResourceWarning)
        metrics = MetricsCacheYamlImpl(config_file_path=str(METRICS))
    metrics.initialize_cache()
    metrics.model_name = "tiny"
    return metrics


class _Socket(io.BytesIO):
    """The worker's end while it reads."""

    def recv(self, length: int) -> bytes:
        return self.read(length)


def _encode(calls: Sequence[Call]) -> bytes:
    message = b"I"
    for index, call in enumerate(calls):
        message += _field(f"id-{index}".encode())
        for name, value in call.headers.items():
            message += _field(name.encode()) + _field(value.encode())
        message += _int(-1)
        for part in call.parts:
            message += _field(part.name.encode()) + _field(part.content_type.encode())
            message += _field(part.content)
        message += _int(-1)
    return message + _int(-1)


def _decode(message: bytes) -> Iterator[_Prediction]:
    stream = io.BytesIO(message)
    code = _read_int(stream)
    text = _read(stream).decode()
    if code != 200:
        raise Broken(f"{code} {text!r} for the whole batch")
    while (length := _read_int(stream)) != -1:
        request_id = stream.read(length).decode()
        content_type = _read(stream).decode()
        status = _read_int(stream)
        phrase = _read(stream).decode()
        names = range(_read_int(stream))
        headers = {_read(stream).decode(): _read(stream).decode() for _ in names}
        if any(mark in word for word in (phrase, *headers, *headers.values()) for mark in "\r\n"):
            raise Broken(f"a line break in {phrase!r} or {headers}")
        body = _read(stream)
        yield _Prediction(request_id, content_type, status, phrase, headers, body)


def _int(number: int) -> bytes:
    return struct.pack("!i", number)


def _field(content: bytes) -> bytes:
    return _int(len(content)) + content


def _read_int(stream: io.BytesIO) -> int:
    (number,) = struct.unpack("!i", stream.read(4))
    return int(number)


def _read(stream: io.BytesIO) -> bytes:
    length = _read_int(stream)
    if length > LARGEST_FIELD:
        raise Broken(f"Message size exceed limit: {length}")
    return stream.read(length)
