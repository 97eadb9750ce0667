"""A TorchServe's models: which there are, and with what workers; over its management API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from servelens.client.errors import BadAnswer, Unreachable
from servelens.client.keys import MANAGEMENT, MASTER
from servelens.client.messages import address, read_plain
from servelens.client.registered import Version, read_listing, read_versions
from servelens.client.transport import ANSWER_S, Transport

SETTLING_S = 1.0
A_PAGE_OF_MODELS = 1000


class Managed:
    """`management` is the server's management address; without it, its models are not to be asked
    about."""

    def __init__(self, management: str | None, transport: Transport) -> None:
        self.management = None if management is None else management.rstrip("/")
        self._transport = transport

    def models(self) -> list[str]:
        """The names that are registered."""
        names: list[str] = []
        for page in self._model_pages():
            if names and not set(page) - set(names):
                raise BadAnswer("the server's list of models has no end")
            names += page
        return names

    def describe(self, model: str, version: str | None = None) -> Version:
        """The version that is asked where none is named, or another one."""
        told = self._manage("GET", address("models", model, version))
        return read_versions(told)[0]

    def versions(self, model: str) -> tuple[Version, ...]:
        return read_versions(self._manage("GET", address("models", model, "all")))

    def register(
        self,
        archive: str,
        name: str,
        *,
        workers: int = 1,
        patience_s: float = ANSWER_S,
        **more: Any,
    ) -> None:
        """Returns when the workers are ready. `more` are TorchServe's own words: `batch_size`,
        `max_batch_delay`."""
        # TorchServe 0.12 reads a JSON body as a batch delay of -10000 ms.
        words = {"url": archive, "model_name": name, "initial_workers": workers, **more}
        self._manage("POST", "/models", patience_s, **words, synchronous="true")
        self._settle(name)

    def scale(
        self,
        model: str,
        workers: int,
        patience_s: float = ANSWER_S,
        *,
        version: str | None = None,
    ) -> None:
        """Returns when there are so many workers, and they are ready."""
        words = {"min_worker": workers, "max_worker": workers, "synchronous": "true"}
        self._manage("PUT", address("models", model, version), patience_s, **words)
        self._settle(model)

    def set_default(self, model: str, version: str) -> None:
        """The version that answers whoever names none."""
        self._manage("PUT", f"{address('models', model, version)}/set-default")

    def unregister(self, model: str, *, version: str | None = None) -> None:
        """Of a model with several versions one is unregistered at a time, the default one last."""
        self._manage("DELETE", address("models", model, version))

    def _settle(self, model: str) -> None:
        """TorchServe answers a moment before it calls its last worker ready. What is not ready then
        has troubles of its own, of which `describe` tells."""
        deadline = time.monotonic() + SETTLING_S
        while time.monotonic() < deadline:
            workers = [worker for version in self.versions(model) for worker in version.workers]
            if all(worker.status == "READY" for worker in workers):
                return
            time.sleep(SETTLING_S / 50)

    def renew_key(self, door: str) -> None:
        """Has the server write a new key of `inference` or `management` into its key file; the old
        one opens nothing from then on."""
        self._transport.call(MASTER, "GET", f"{self._managed()}/token", params={"type": door})

    def _manage(
        self, verb: str, path: str, patience_s: float | None = None, **parameters: Any
    ) -> Any:
        url = self._managed() + path
        answer = self._transport.call(MANAGEMENT, verb, url, patience_s, params=parameters)
        return read_plain(answer)

    def _managed(self) -> str:
        if self.management is None:
            raise Unreachable("this needs the management address, and none was given")
        return self.management

    def _model_pages(self) -> Iterator[list[str]]:
        next_page: dict[str, Any] = {}
        while True:
            listed = self._manage("GET", "/models", limit=A_PAGE_OF_MODELS, **next_page)
            page = read_listing(listed)
            yield [model.name for model in page.models]
            if not page.next_page or not page.models:
                return
            next_page = {"next_page_token": page.next_page}
