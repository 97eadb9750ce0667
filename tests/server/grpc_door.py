"""TorchServe's gRPC door, from the protocol file that lies in its own jar."""

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

PACKAGE = "org.pytorch.serve.grpc.inference"
PROTOCOL_FILES = ("inference.proto", "google/rpc/status.proto")


class GrpcDoor:
    """Predictions and StreamPredictions; each answer is what came, as bytes."""

    def __init__(self, port: int, folder: Path) -> None:
        pool = _compile(folder)
        request, response = (
            message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
            for name in ("PredictionsRequest", "PredictionResponse")
        )
        self._request = request
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        service = f"/{PACKAGE}.InferenceAPIsService"
        how = {
            "request_serializer": request.SerializeToString,
            "response_deserializer": response.FromString,
        }
        self._unary = self._channel.unary_unary(f"{service}/Predictions", **how)
        self._stream = self._channel.unary_stream(f"{service}/StreamPredictions", **how)

    def close(self) -> None:
        self._channel.close()

    def predictions(self, headers: Mapping[str, str], model: str, **fields: bytes) -> bytes:
        return bytes(self._unary(self._message(model, fields), **_how(headers)).prediction)

    def stream_predictions(
        self, headers: Mapping[str, str], model: str, **fields: bytes
    ) -> list[bytes]:
        answers = self._stream(self._message(model, fields), **_how(headers))
        return [bytes(answer.prediction) for answer in answers]

    def _message(self, model: str, fields: Mapping[str, bytes]) -> Any:
        return self._request(model_name=model, input=fields)


def _how(headers: Mapping[str, str]) -> dict[str, Any]:
    """A last word that never comes must not be waited for: StreamPredictions may hang."""
    return {"timeout": 30, "metadata": [(name.lower(), text) for name, text in headers.items()]}


def _compile(folder: Path) -> descriptor_pool.DescriptorPool:
    found = importlib.util.find_spec("ts")
    assert found is not None
    assert found.origin is not None
    with zipfile.ZipFile(Path(found.origin).parent / "frontend" / "model-server.jar") as jar:
        for name in PROTOCOL_FILES:
            jar.extract(name, folder)
    googles = importlib.resources.files("grpc_tools") / "_proto"
    compiled = folder / "inference.bin"
    options = ("--include_imports", f"--descriptor_set_out={compiled}")
    status = protoc.main(["protoc", f"-I{folder}", f"-I{googles}", *options, PROTOCOL_FILES[0]])
    assert status == 0, "TorchServe's protocol file does not compile"
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes()).file:
        pool.Add(file)
    return pool
