"""One TorchServe, asked over its inference and management APIs.

Registering uses query parameters: TorchServe 0.12 reads a JSON body as a batch delay of -10000 ms.
Every call has time limits, for a server whose workers are past their retries answers nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from servelens.client.errors import LensProblem, Refused, Unreachable
from servelens.client.keys import INFERENCE, MANAGEMENT, KeyFile, NoKeys
from servelens.codec import NPZ_TYPE, read_json, read_npz

CONNECT_S = 10.0
ANSWER_S = 120.0


class Server:
    """A running server; `url` is its inference address, `management` its management address."""

    def __init__(
        self,
        url: str,
        management: str | None = None,
        keys: KeyFile | NoKeys | None = None,
        timeout_s: float = ANSWER_S,
    ) -> None:
        self.url = url.rstrip("/")
        self.management = None if management is None else management.rstrip("/")
        self._keys = keys or NoKeys()
        self._timeout_s = timeout_s
        self._http = requests.Session()
        # A proxy or a netrc entry is not meant for a server that was named by its address.
        self._http.trust_env = False

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def health(self) -> str:
        """TorchServe's own word for how it is: "Healthy"."""
        return str(self._inference("GET", "/ping").json()["status"])

    def predict(self, model: str, image: bytes) -> dict[str, float]:
        """The stock answer: the most probable labels with their probabilities."""
        answer = self._inference("POST", f"/predictions/{model}", data=image, headers=_IMAGE_TYPE)
        labels: dict[str, float] = answer.json()
        return labels

    def ask(self, model: str, image: bytes | None = None, **keys: Any) -> dict[str, Any]:
        """The lens document that these request keys ask for, tensors as NumPy arrays."""
        return _document(self._inference("POST", f"/predictions/{model}", **_form(image, keys)))

    def explain(self, model: str, image: bytes, **keys: Any) -> dict[str, Any]:
        """The lens document of /explanations: the archive's default plan, unless told otherwise."""
        return _document(self._inference("POST", f"/explanations/{model}", **_form(image, keys)))

    def stream(self, model: str, image: bytes, **keys: Any) -> Iterator[dict[str, Any]]:
        """The frames of one request as they come."""
        form = _form(image, {**keys, "stream": True})
        answer = self._inference("POST", f"/predictions/{model}", stream=True, **form)
        with answer:
            # As the server cut it: of pieces of a fixed size a long line is put together anew each
            # time, which takes 20 s for one of 6 MB.
            for line in answer.iter_lines(chunk_size=None):
                yield read_json(line)

    def capability(self, model: str) -> dict[str, Any]:
        """What may be asked of a model; needs no management key."""
        return self.ask(model, describe=True)

    def models(self) -> list[str]:
        listed = self._management("GET", "/models", params={"limit": 1000}).json()["models"]
        return [model["modelName"] for model in listed]

    def workers(self, model: str) -> list[dict[str, Any]]:
        """The workers of a model as the server tells of them: `status`, `pid`, `gpu`."""
        versions = self._management("GET", f"/models/{model}").json()
        return [worker for version in versions for worker in version["workers"]]

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
        words = {"url": archive, "model_name": name, "initial_workers": workers, **more}
        parameters = {**words, "synchronous": "true"}
        self._management("POST", "/models", patience_s, params=parameters)

    def scale(self, model: str, workers: int, patience_s: float = ANSWER_S) -> None:
        words = {"min_worker": workers, "max_worker": workers, "synchronous": "true"}
        self._management("PUT", f"/models/{model}", patience_s, params=words)

    def unregister(self, model: str) -> None:
        self._management("DELETE", f"/models/{model}")

    def _inference(self, verb: str, path: str, **how: Any) -> requests.Response:
        headers = {**how.pop("headers", {}), **self._keys.headers(INFERENCE)}
        return self._call(verb, self.url + path, self._timeout_s, headers=headers, **how)

    def _management(
        self, verb: str, path: str, patience_s: float | None = None, **how: Any
    ) -> requests.Response:
        if self.management is None:
            raise Unreachable("this needs the management address, and none was given")
        headers = self._keys.headers(MANAGEMENT)
        patience_s = patience_s or self._timeout_s
        return self._call(verb, self.management + path, patience_s, headers=headers, **how)

    def _call(self, verb: str, url: str, patience_s: float, **how: Any) -> requests.Response:
        try:
            answer = self._http.request(verb, url, timeout=(CONNECT_S, patience_s), **how)
        except requests.RequestException as error:
            raise Unreachable(f"{url} did not answer: {error}") from error
        if not answer.ok:
            raise _refusal(answer)
        return answer


_IMAGE_TYPE = {"Content-Type": "application/octet-stream"}


def _form(image: bytes | None, keys: Mapping[str, Any]) -> dict[str, Any]:
    """A multipart form; a key's value is written as JSON, so that it is read as what it is."""
    fields: dict[str, tuple[str | None, bytes | str]] = {
        name: (None, value if name == "id" else json.dumps(value)) for name, value in keys.items()
    }
    if image is not None:
        fields["data"] = ("image", image)
    return {"files": fields}


def _document(answer: requests.Response) -> dict[str, Any]:
    read = read_npz if answer.headers.get("Content-Type") == NPZ_TYPE else read_json
    document: dict[str, Any] = read(answer.content)
    return document


def _refusal(answer: requests.Response) -> Refused:
    try:
        said = answer.json()
    except ValueError:
        return Refused(answer.status_code, answer.text[:500] or answer.reason)
    if isinstance(said, dict) and {"type", "message"} <= said.keys() and "where" in said:
        return LensProblem(answer.status_code, said)
    message = said.get("message") if isinstance(said, dict) else None
    return Refused(answer.status_code, str(message or said)[:500])
