"""What the tests of a served archive ask with, and how they compare two answers."""

from __future__ import annotations

import functools
import io
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from jsonschema import Draft202012Validator
from lens_pictures import base64_of

from servelens import codec
from servelens.local import TorchServe

PATIENCE_S = 60.0
OCTETS = {"Content-Type": "application/octet-stream"}
# What an answer to a stranger must not hold: a path, or where in the code it happened.
TELLTALES = re.compile(rb"""Traceback|File \\?"|\.py\b|site-packages|(?:^|[\s'"(:])/\w+/[\w.]+""")


@dataclass(frozen=True)
class Call:
    """One HTTP request to a model that is named later: /predictions/<model>, for instance."""

    path: str
    how: Mapping[str, Any]
    keys: Mapping[str, Any] = field(default_factory=dict)

    def to(self, model: str) -> str:
        return self.path.replace("MODEL", model)


def raw(image: bytes, door: str = "predictions", headers: Mapping[str, str] = OCTETS) -> Call:
    """`curl -T`, but for its verb."""
    return Call(f"/{door}/MODEL", {"data": image, "headers": headers})


def form(
    image: bytes | None = None,
    /,
    door: str = "predictions",
    headers: Mapping[str, str] | None = None,
    **keys: Any,
) -> Call:
    """`curl -F data=@cat.jpg -F key=value`; text goes as it is, all else as JSON."""
    fields: dict[str, tuple[str | None, bytes | str]] = {
        name: (None, value if isinstance(value, str) else json.dumps(value))
        for name, value in keys.items()
    }
    if image is not None:
        fields["data"] = ("photo.png", image)
    return Call(f"/{door}/MODEL", {"files": fields, "headers": headers or {}}, keys)


def as_json(image: bytes | None = None, /, door: str = "predictions", **keys: Any) -> Call:
    body = keys if image is None else {"image": base64_of(image), **keys}
    return Call(f"/{door}/MODEL", {"json": body}, body)


def kserve(instances: Sequence[Any], verb: str = "predict", **shared: Any) -> Call:
    return Call(f"/v1/models/MODEL:{verb}", {"json": {**shared, "instances": list(instances)}})


class Lens:
    """Asks a server, and checks of every answer what holds for all of them."""

    def __init__(self, server: TorchServe, schemas: Path) -> None:
        self.server = server
        self._schemas = {
            path.stem: Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))
            for path in schemas.glob("*.json")
        }

    def ask(self, call: Call, model: str = "tiny", **more: Any) -> requests.Response:
        headers = {**self.server.authorization(), **call.how.get("headers", {})}
        how = {**call.how, **more, "headers": headers}
        return requests.post(self.server.url + call.to(model), timeout=PATIENCE_S, **how)

    def bare(self, image: bytes, model: str = "tiny") -> dict[str, float]:
        answer = self.ask(raw(image), model)
        assert answer.status_code == 200, answer.text
        labels: dict[str, float] = answer.json()
        return labels

    def document(self, call: Call, model: str = "tiny") -> dict[str, Any]:
        """A lens document, tensors read; what was sent and what came are as the schemas say."""
        self.check("request", call.keys)
        answer = self.ask(call, model)
        assert answer.status_code == 200, answer.text
        return self.read_document(answer)

    def read_document(self, answer: requests.Response) -> dict[str, Any]:
        """From JSON, npz, or the last frame of a stream."""
        kind, body = answer.headers["Content-Type"], answer.content
        if kind == codec.STREAM_TYPE:
            last = json.loads(body.splitlines()[-1])
            assert last["frame"] == "document", last
            self.check("document", last["document"])
            return dict(codec.read_json(json.dumps(last["document"]).encode()))
        if kind == codec.NPZ_TYPE:
            self.check("document", npz_document(body))
            return dict(codec.read_npz(body))
        assert kind == codec.JSON_TYPE
        self.check("document", answer.json())
        return dict(codec.read_json(body))

    def problem(self, call: Call, model: str = "tiny") -> dict[str, Any]:
        return self.read_problem(self.ask(call, model))

    def read_problem(self, answer: requests.Response) -> dict[str, Any]:
        """A problem with its status, and nothing about the machine that it happened on."""
        assert answer.status_code >= 400, answer.text[:500]
        assert answer.headers["Content-Type"] == codec.JSON_TYPE
        problem: dict[str, Any] = answer.json()
        self.check("problem", problem)
        assert problem["code"] == answer.status_code
        assert not TELLTALES.search(answer.content), answer.text
        return problem

    def check(self, schema: str, value: Any) -> None:
        self._schemas[schema].validate(value)

    def pids(self, *models: str) -> list[int]:
        client = self.server.client
        return [worker.pid for model in models for worker in client.describe(model).workers]

    def together(self, model: str, *calls: Call) -> list[requests.Response]:
        """The answers to calls that certainly were in one batch."""
        return self.meet(model, *(functools.partial(self.ask, call, model) for call in calls))

    def meet(self, model: str, *asks: Callable[[], Any]) -> list[Any]:
        """All at the same time, and certainly in one batch: TorchServe's own log says so.

        On a busy machine one may come too late for the others' batch; then they are sent anew.
        """
        for _ in range(8):
            before = self.batches(model)
            answers = _at_once(asks)
            if self.batches(model) == before + 1:
                return answers
        raise AssertionError(f"{len(asks)} calls never met in one batch")

    def batches(self, model: str) -> int:
        """How many the model's worker has received; the log may lag behind the answers. A version
        is named as in an address."""
        seen, settled = -1, 0
        while settled < 3:
            last, seen = seen, self._batches_in_log(model)
            settled = settled + 1 if seen == last else 0
            time.sleep(0.05)
        return seen

    def _batches_in_log(self, model: str) -> int:
        log = (self.server.front_end.logs / "model_log.log").read_text(errors="replace")
        name, _, version = model.partition("/")
        worker = rf"W-\d+-{re.escape(name)}_{re.escape(version or '1.0')}-stdout"
        received = rf"{worker} MODEL_LOG - Backend received inference"
        return len(re.findall(received, log))


def _at_once(asks: Sequence[Callable[[], Any]]) -> list[Any]:
    start = threading.Barrier(len(asks))

    def send(ask: Callable[[], Any]) -> Any:
        start.wait()
        return ask()

    with ThreadPoolExecutor(len(asks)) as callers:
        return list(callers.map(send, asks))


def npz_document(body: bytes) -> Any:
    """The JSON part of an npz answer."""
    with np.load(io.BytesIO(body), allow_pickle=False) as members:
        return json.loads(members["document"].tobytes())


def assert_same_answer(got: requests.Response, expected: requests.Response) -> None:
    """Equal but for what it cost, and as near as other rows in the same pass allow."""
    kind = expected.headers["Content-Type"]
    assert (got.status_code, got.headers["Content-Type"]) == (expected.status_code, kind), got.text
    if kind == codec.STREAM_TYPE:
        ours, theirs = (
            [codec.read_json(line) for line in answer.content.splitlines()]
            for answer in (got, expected)
        )
    elif kind == codec.NPZ_TYPE:
        ours, theirs = codec.read_npz(got.content), codec.read_npz(expected.content)
    else:
        ours, theirs = codec.read_json(got.content), codec.read_json(expected.content)
    assert_same(ours, theirs, "answer")


def assert_same(got: Any, expected: Any, where: str) -> None:
    """Floats to 1e-5, maps to what float16 keeps of their largest value."""
    if isinstance(expected, dict):
        assert got.keys() == expected.keys(), where
        for key in expected.keys() - _varying(expected):
            assert_same(got[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(got) == len(expected), where
        for index, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
            assert_same(ours, theirs, f"{where}[{index}]")
    elif isinstance(expected, np.ndarray):
        assert got.shape == expected.shape, where
        farthest = np.abs(got - expected).max(initial=0.0)
        assert farthest <= 1e-3 * np.abs(expected).max(initial=0.0), f"{where}: {farthest}"
    elif isinstance(expected, float):
        assert got == pytest.approx(expected, rel=1e-5, abs=1e-5), where
    else:
        assert got == expected, where


def _varying(value: Mapping[str, Any]) -> set[str]:
    """What the same question is answered differently the next time."""
    if value.get("type") == "internal":
        return {"id", "hint"}
    if value.get("type") == "over_budget":
        return {"message"}  # it has the milliseconds that each worker measured for itself
    return {"cost"}
