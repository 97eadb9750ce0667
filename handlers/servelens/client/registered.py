"""A model as the management API tells of it: its versions, their workers, how they are batched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from servelens.client.errors import BadAnswer
from servelens.client.reading import carried, read


@dataclass(frozen=True)
class Worker:
    id: str
    status: str
    pid: int
    gpu: bool
    memory_bytes: int
    more: Mapping[str, Any] = carried()


@dataclass(frozen=True)
class Version:
    """One version of a registered model; `more` has the server's words for all the rest."""

    name: str
    version: str
    archive: str
    batch_size: int
    batch_delay_ms: int
    workers: tuple[Worker, ...]
    more: Mapping[str, Any] = carried()

    @property
    def is_ready(self) -> bool:
        return any(worker.status == "READY" for worker in self.workers)


@dataclass(frozen=True)
class Listed:
    name: str
    archive: str


@dataclass(frozen=True)
class Listing:
    """A page of the registered models; `next_page` asks for the next one."""

    models: tuple[Listed, ...]
    next_page: str | None = None


# TorchServe writes its keys as Java does.
WORDS = {
    "nextPageToken": "next_page",
    "modelName": "name",
    "modelVersion": "version",
    "modelUrl": "archive",
    "batchSize": "batch_size",
    "maxBatchDelay": "batch_delay_ms",
    "memoryUsage": "memory_bytes",
}


def read_versions(told: Any) -> tuple[Version, ...]:
    """One at least."""
    versions = read(tuple[Version, ...], _renamed(told), "versions")
    if not versions:
        raise BadAnswer("the server describes a model without any version")
    return versions


def read_listing(told: Any) -> Listing:
    return read(Listing, _renamed(told), "models")


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {WORDS.get(key, key): _renamed(item) for key, item in value.items()}
    return [_renamed(item) for item in value] if isinstance(value, list) else value
