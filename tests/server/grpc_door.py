"""TorchServe's gRPC doors, from the protocol files that lie in its own jar."""

from __future__ import annotations

import importlib.resources
import importlib.util
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

SERVICES = {"inference": "InferenceAPIsService", "management": "ManagementAPIsService"}
IMPORTED = "google/rpc/status.proto"


class GrpcDoor:
    """All calls of one service, of which two have names of their own here."""

    def __init__(self, port: int, folder: Path, service: str = "inference") -> None:
        pool = _compile(folder, f"{service}.proto")
        named = f"org.pytorch.serve.grpc.{service}.{SERVICES[service]}"
        self._service = pool.FindServiceByName(named)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def close(self) -> None:
        self._channel.close()

    def predictions(self, headers: Mapping[str, str], model: str, **fields: bytes) -> bytes:
        """What came, as bytes; a model may be named with its version, as in an address."""
        return bytes(self.call(headers, "Predictions", **_asked(model, fields)).prediction)

    def stream_predictions(
        self, headers: Mapping[str, str], model: str, **fields: bytes
    ) -> list[bytes]:
        answers = self.stream(headers, "StreamPredictions", **_asked(model, fields))
        return [bytes(answer.prediction) for answer in answers]

    def call(self, headers: Mapping[str, str], method: str, **fields: Any) -> Any:
        """One message, and the one that answers it."""
        return self._send(self._channel.unary_unary, headers, method, fields)

    def stream(self, headers: Mapping[str, str], method: str, **fields: Any) -> list[Any]:
        return list(self._send(self._channel.unary_stream, headers, method, fields))

    def _send(
        self, kind: Any, headers: Mapping[str, str], method: str, fields: Mapping[str, Any]
    ) -> Any:
        """A last word that never comes must not be waited for: StreamPredictions may hang."""
        said = self._service.methods_by_name[method]
        asked, answered = map(message_factory.GetMessageClass, (said.input_type, said.output_type))
        send = kind(
            f"/{self._service.full_name}/{method}",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        metadata = [(name.lower(), text) for name, text in headers.items()]
        return send(asked(**fields), timeout=30, metadata=metadata)


def _asked(model: str, fields: Mapping[str, bytes]) -> dict[str, Any]:
    name, _, version = model.partition("/")
    return {"model_name": name, "model_version": version, "input": fields}


def _compile(folder: Path, file: str) -> descriptor_pool.DescriptorPool:
    found = importlib.util.find_spec("ts")
    assert found is not None
    assert found.origin is not None
    with zipfile.ZipFile(Path(found.origin).parent / "frontend" / "model-server.jar") as jar:
        for name in (file, IMPORTED):
            jar.extract(name, folder)
    googles = importlib.resources.files("grpc_tools") / "_proto"
    compiled = folder / f"{file}.bin"
    options = ("--include_imports", f"--descriptor_set_out={compiled}")
    status = protoc.main(["protoc", f"-I{folder}", f"-I{googles}", *options, file])
    assert status == 0, "TorchServe's protocol file does not compile"
    pool = descriptor_pool.DescriptorPool()
    for part in descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes()).file:
        pool.Add(part)
    return pool
