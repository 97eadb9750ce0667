"""One TorchServe, asked over its inference and management APIs.

Example::

    with Server("http://127.0.0.1:8080") as server:
        result = server.explain("shapes", "photo.jpg", "grad_cam", target="disc")
        result.attributions[0].to_numpy()

Requests are made of the protocol's own keys, which docs/protocol.md lists. Every call has time
limits, for a server whose workers are past their retries answers nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from servelens.client import pages
from servelens.client.errors import BadAnswer, Unreachable
from servelens.client.keys import INFERENCE, MANAGEMENT, MASTER, Keys, keys_from_environment
from servelens.client.messages import (
    IMAGE_TYPE,
    address,
    form,
    read_answer,
    read_frame,
    read_plain,
)
from servelens.client.photos import Photo, photo_bytes
from servelens.client.reading import read
from servelens.client.registered import Version, read_listing, read_versions
from servelens.client.results import Result
from servelens.client.transport import Transport

CONNECT_S = 10.0
ANSWER_S = 120.0
SETTLING_S = 1.0
A_PAGE_OF_MODELS = 1000
CAPABILITY_KEYS = {"model", "input", "labels", "layers", "methods", "limits"}


class Server:
    """A running server; `url` is its inference address, `management` its management address.

    Without `keys` those of the environment are used, see `servelens.client.keys`. Threads may share
    a server.
    """

    def __init__(
        self,
        url: str,
        management: str | None = None,
        keys: Keys | None = None,
        timeout_s: float = ANSWER_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        self.url = url.rstrip("/")
        self.management = None if management is None else management.rstrip("/")
        self._transport = Transport(keys or keys_from_environment(), connect_s, timeout_s)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self._transport.close()

    def health(self) -> str:
        """TorchServe's own word for how it is: "Healthy"."""
        told = read_plain(self._transport.call(INFERENCE, "GET", f"{self.url}/ping"))
        return read(dict[str, str], told, "ping").get("status", "unknown")

    def classify(
        self, model: str, image: Photo, *, version: str | None = None
    ) -> Mapping[str, float]:
        """The stock answer, of any image classifier: the most probable labels."""
        path = address("predictions", model, version)
        answer = self._post(path, data=photo_bytes(image), headers=IMAGE_TYPE)
        return read(dict[str, float], read_plain(answer), "answer")

    def predict(
        self, model: str, image: Photo, *, version: str | None = None, **keys: Any
    ) -> Result:
        """The most probable classes, `top_k` of them, with their logits."""
        # Any key makes an answer a document; this one asks for no more than predictions.
        return self._result("predictions", model, image, version, {"explain": False, **keys})

    def explain(
        self,
        model: str,
        image: Photo,
        explain: Any = True,
        *,
        version: str | None = None,
        **keys: Any,
    ) -> Result:
        """Attributions: by the archive's default plan, or the methods named."""
        return self._result("explanations", model, image, version, {"explain": explain, **keys})

    def activations(
        self,
        model: str,
        image: Photo,
        activations: Any = True,
        *,
        all_pages: bool = False,
        version: str | None = None,
        **keys: Any,
    ) -> Result:
        """What layers gave: the archive's default layers, or those named. Where an answer has no
        room for all channels, `all_pages` asks for the rest too, and puts them together."""
        photo = photo_bytes(image)

        def ask(wanted: Any) -> dict[str, Any]:
            # A third smaller than JSON, and these are the large answers.
            asked = {"format": "npz", **keys, "activations": wanted}
            document = self.ask(model, photo, version=version, **asked)
            read(Result, document, "document")
            return document

        document = ask(activations)
        if all_pages:
            document = pages.complete(document, ask)
        return Result.of(document, photo, {**keys, "activations": activations})

    def ask(
        self,
        model: str,
        image: Photo | None = None,
        *,
        version: str | None = None,
        **keys: Any,
    ) -> dict[str, Any]:
        """The document that these keys ask for as it came, but for its tensors, which are arrays;
        `Result.of` makes a result of it."""
        photo = None if image is None else photo_bytes(image)
        return self._document("predictions", model, photo, version, keys)

    def stream(
        self, model: str, image: Photo, *, version: str | None = None, **keys: Any
    ) -> Iterator[dict[str, Any]]:
        """The frames of one request as they come."""
        how = form(photo_bytes(image), {**keys, "stream": True})
        url = self.url + address("predictions", model, version)
        for line in self._transport.lines(INFERENCE, "POST", url, **how):
            yield read_frame(line)

    def capability(self, model: str, *, version: str | None = None) -> dict[str, Any]:
        """What may be asked of a model; needs no management key."""
        told = self.ask(model, version=version, describe=True)
        missing = CAPABILITY_KEYS - read(dict[str, Any], told, "capability").keys()
        if missing:
            raise BadAnswer(
                f"{model} does not describe itself: {min(missing)} is not in its answer"
            )
        return told

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

    def _result(
        self,
        door: str,
        model: str,
        image: Photo,
        version: str | None,
        keys: Mapping[str, Any],
    ) -> Result:
        photo = photo_bytes(image)
        return Result.of(self._document(door, model, photo, version, keys), photo, keys)

    def _document(
        self,
        door: str,
        model: str,
        photo: bytes | None,
        version: str | None,
        keys: Mapping[str, Any],
    ) -> dict[str, Any]:
        answer = self._post(address(door, model, version), **form(photo, keys))
        document: dict[str, Any] = read_answer(answer)
        return document

    def _post(self, path: str, **how: Any) -> requests.Response:
        return self._transport.call(INFERENCE, "POST", self.url + path, **how)

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
