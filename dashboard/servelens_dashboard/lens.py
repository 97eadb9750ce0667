"""The served models as the pages see them: who is there, what may be asked, what was answered.

Answers are kept by what they are answers to: the model's digest, the photo's hash and the request.
So they outlive a restart of the worker, and a new version under an old name is asked anew.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

from servelens.client import (
    BadAnswer,
    ClientError,
    KeyFile,
    LensProblem,
    Refused,
    Result,
    Server,
    Version,
)
from servelens.client.keys import INFERENCE, MANAGEMENT
from servelens.protocol import InputRef
from servelens_dashboard.cache import Cache
from servelens_dashboard.overview import NoModel, Overview, life
from servelens_dashboard.shelf import Shelf
from servelens_dashboard.watch import Watch
from servelens_dashboard.work import Work

CAPABILITIES = 64
OVERHEAD = 20_000
# Under way at once, for what a map and its weights take while they are added up.
WORK_BYTES = 256_000_000
NOT_FOUND = 404
TRIES = 2
GIVE_IT_ONE = (
    "Build it with scripts/build, or put a lens beside its handler with servelens instrument, and "
    "register that."
)


class Changed(NoModel):
    """A model is another than it was when it was described."""

    def __init__(self, version: Version) -> None:
        super().__init__(
            f"The model {version.name} {version.version} answers with other weights than it says "
            "that it has: it was registered anew this moment, or its workers have different ones. "
            "Retry; if it stays, take its workers away on the page Models, and give it new ones."
        )


class NoLens(Exception):
    """An archive that ServeLens did not build."""


class Lens:
    """One server, asked for every visitor; threads may share it.

    `watched` is the same server, asked which models it has: with less patience, as no model is
    asked for that.
    """

    def __init__(
        self,
        server: Server,
        shelf: Shelf,
        answer_bytes: int,
        keys: KeyFile | None = None,
        watched: Server | None = None,
    ) -> None:
        self.server = server
        self._watched = watched or server
        self._keys = keys
        self.shelf = shelf
        self._watch = Watch(self._look)
        self._capabilities: Cache[Mapping[str, Any]] = Cache(CAPABILITIES)
        self._answers: Cache[Result] = Cache(answer_bytes, _size)
        self._works: Cache[Work] = Cache(WORK_BYTES, lambda work: work.bytes)

    def overview(self) -> Overview:
        return self._watch.now()

    def look_again(self) -> Overview:
        """After something was changed."""
        return self._watch.anew()

    def capability(self, version: Version) -> Mapping[str, Any]:
        """What may be asked of a model; asked anew when one of its workers is another."""
        if not version.is_ready:
            raise NoModel(
                f"{version.name} {version.version} has no worker that is ready: "
                f"{_states(version)}. Give it workers on the page Models."
            )
        key = version.name, version.version, tuple(map(life, version.workers))
        return self._capabilities.get(key, lambda: self._describe(version))

    def ask(self, version: Version, photo: str, request: Mapping[str, Any]) -> Result:
        """The answer to a request about a photo of the shelf, from the cache if it is there.

        Another model's answer is not kept for this one's: who it is is asked anew, and it once
        more.
        """
        for _ in range(TRIES):
            digest = self._digest(version)
            try:
                ask = partial(self._ask_of, digest, version, photo, request)
                return self._answers.get(_key(digest, photo, request), ask)
            except Changed as changed:
                told = changed
        raise told

    def knows(self, version: Version, photo: str, request: Mapping[str, Any]) -> bool:
        """Whether the answer is in the cache."""
        return self._answers.has(_key(self._digest(version), photo, request))

    def work(self, version: Version, photo: str, request: Mapping[str, Any], first: Result) -> Work:
        """What comes in parts, of which `first` is the first: one for all who wait for it. Its
        parts are not kept, what they make is; see `keep`."""
        digest = first.model.digest
        ask = partial(self._ask_of, digest, version, photo)
        return self._works.get(_key(digest, photo, request), lambda: Work(request, first, ask))

    def keep(self, photo: str, request: Mapping[str, Any], result: Result) -> None:
        """As if the request had been answered so."""
        self._answers.get(_key(result.model.digest, photo, request), lambda: result)

    def _digest(self, version: Version) -> str:
        return str(self.capability(version)["model"]["digest"])

    def _ask_of(
        self, digest: str, version: Version, photo: str, request: Mapping[str, Any]
    ) -> Result:
        result = self._ask(version, photo, request)
        if result.model.digest != digest:
            self._capabilities.forget()
            raise Changed(version)
        return result

    def _ask(self, version: Version, photo: str, request: Mapping[str, Any]) -> Result:
        image = self.shelf.get(photo)
        keys = {"format": "npz", "explain": False, **request}
        document = self.server.ask(version.name, image, version=version.version, **keys)
        return Result.of(document, image, request)

    def _look(self) -> Overview:
        try:
            self._renew_keys()
            found = {name: self._versions(name) for name in sorted(self._watched.models())}
            return Overview({name: versions for name, versions in found.items() if versions})
        except ClientError as error:
            return Overview({}, error)

    def _renew_keys(self) -> None:
        """They last an hour, and nobody else may be there to have new ones made."""
        for door in (INFERENCE, MANAGEMENT):
            if self._keys is not None and self._keys.has_run_out(door):
                self._watched.renew_key(door)

    def _versions(self, name: str) -> tuple[Version, ...]:
        """The default one first; none of a model that was unregistered since it was listed."""
        try:
            versions = self._watched.versions(name)
            default = versions[0] if len(versions) == 1 else self._watched.describe(name)
        except Refused as refused:
            if refused.status == NOT_FOUND:
                return ()
            raise
        return tuple(sorted(versions, key=lambda version: version.version != default.version))

    def _describe(self, version: Version) -> Mapping[str, Any]:
        try:
            told = self.server.capability(version.name, version=version.version)
        except (BadAnswer, Refused) as error:
            if isinstance(error, LensProblem) or (isinstance(error, Refused) and error.is_of_a_key):
                raise
            raise NoLens(
                f"{version.name} {version.version} cannot be looked into: its archive was not "
                f"built by ServeLens ({error}). {GIVE_IT_ONE}"
            ) from error
        if not isinstance(told, Mapping) or "methods" not in told:
            raise NoLens(
                f"{version.name} {version.version} cannot be looked into: its archive was not "
                f"built by ServeLens. {GIVE_IT_ONE}"
            )
        return told


def looked_at(result: Result) -> InputRef:
    """Where in the photo the model looked, which every answer about a photo says."""
    if result.input is None:
        raise BadAnswer("the server's answer does not say where in the photo the model looked")
    return result.input


def _key(digest: str, photo: str, request: Mapping[str, Any]) -> Hashable:
    return digest, photo, json.dumps(request, sort_keys=True)


def _states(version: Version) -> str:
    states = sorted(worker.status for worker in version.workers)
    return ", ".join(states) or "none is running"


def _size(result: Result) -> int:
    return OVERHEAD + sum(array.nbytes for array in result.to_numpy().values())
