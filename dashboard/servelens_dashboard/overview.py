"""Which models a server has, as it was seen at one moment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from servelens.client import ClientError, Version, Worker
from servelens_dashboard.url_state import Named


class NoModel(Exception):
    """No model of this name is there to be asked; a sentence that says what to do."""


@dataclass(frozen=True)
class Overview:
    """Every version of every model, the default one of each first; or why there is none."""

    models: Mapping[str, tuple[Version, ...]]
    error: ClientError | None = None

    @property
    def pulse(self) -> str:
        """Changes whenever what the pages show may have changed."""
        return self.pulse_of(self.models)

    def pulse_of(self, names: Iterable[str]) -> str:
        """Changes with the workers of these models, and with all models' versions."""
        there = {name: [one.version for one in found] for name, found in self.models.items()}
        workers = [
            (name, version.version, *life(worker), worker.status)
            for name in names
            for version in self.models.get(name, ())
            for worker in version.workers
        ]
        return json.dumps([str(self.error or ""), there, sorted(workers)], sort_keys=True)

    def find(self, model: Named | None) -> Version:
        """The version that is meant; with None the first model that can answer."""
        if self.error is not None:
            raise self.error
        if model is None:
            return self._first()
        versions = self.models.get(model.name)
        if not versions:
            raise NoModel(f"No model is registered as {model.name!r}; {self._names()}")
        for version in versions:
            if model.version in (None, version.version):
                return version
        known = ", ".join(version.version for version in versions)
        raise NoModel(f"{model.name} has no version {model.version!r}; it has {known}.")

    def _first(self) -> Version:
        defaults = [self.models[name][0] for name in sorted(self.models)]
        ready = [version for version in defaults if version.is_ready]
        if not defaults:
            raise NoModel("No model is registered yet. Register one on the page Models.")
        return (ready or defaults)[0]

    def _names(self) -> str:
        if not self.models:
            return "none is registered yet. Register one on the page Models."
        return f"there are {', '.join(sorted(self.models))}."


def life(worker: Worker) -> tuple[str, int, str]:
    """A container that starts anew gives the ids and the processes' numbers that it gave before;
    when a worker began is its own."""
    return worker.id, worker.pid, str(worker.more.get("startTime", ""))
