"""One TorchServe, asked over its inference and management APIs.

Example::

    with Server("http://127.0.0.1:8080") as server:
        result = server.explain("shapes", "photo.jpg", "grad_cam", target="disc")
        result.attributions[0].to_numpy()

Requests are made of the protocol's own keys, which docs/protocol.md lists. Every call has time
limits, for a server whose workers are past their retries answers nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import requests

from servelens.client import pages
from servelens.client.errors import BadAnswer
from servelens.client.keys import INFERENCE, Keys, keys_from_environment
from servelens.client.managing import Managed
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
from servelens.client.results import Result
from servelens.client.transport import ANSWER_S, CONNECT_S, Transport

CAPABILITY_KEYS = {"model", "input", "labels", "layers", "methods", "limits"}


class Server(Managed):
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
        super().__init__(
            management, Transport(keys or keys_from_environment(), connect_s, timeout_s)
        )

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
