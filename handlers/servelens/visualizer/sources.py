"""Where answers come from: a module of this process or a server; both give the client's results."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from servelens.client import LensProblem, Result, Server
from servelens.client.extra import needs
from servelens.client.keys import Keys
from servelens.protocol import Problem, ProblemError, read_request, shorten, to_wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from servelens.engine.folder.card import Card
    from servelens.engine.session import Session

# Nothing travels, so nothing has to fit.
ANY_SIZE = 2**62


class NotAnswered(LensProblem):
    """What is wrong, without the words for a server, which may not have been asked."""

    def __str__(self) -> str:
        return self.reason


class LayerNotFound(NotAnswered, ValueError):
    pass


class Source(Protocol):
    """What a visualizer asks; `at_once` is how many photos it may ask about at a time."""

    name: str
    at_once: int

    def ask(self, photo: bytes | None, **keys: Any) -> Result:
        """The answer to these keys of a request, every channel that was asked for in it."""

    def capability(self) -> Mapping[str, Any]:
        """What may be asked, as the protocol has it."""


class Served:
    """A model of a server."""

    at_once = 4

    def __init__(self, server: Server, model: str, version: str | None) -> None:
        self.name = model
        self._server = server
        self._version = version

    def ask(self, photo: bytes | None, **keys: Any) -> Result:
        # Halves are enough for a picture, and not for numbers that equal those of the module.
        more: dict[str, Any] = {"dtype": "float32", "format": "npz", "version": self._version}
        with _missed_layers():
            if photo is None or "activations" not in keys:
                return Result.of(self._server.ask(self.name, photo, **keys, **more), photo, keys)
            wanted = keys.pop("activations")
            return self._server.activations(
                self.name, photo, wanted, all_pages=True, **keys, **more
            )

    def capability(self) -> Mapping[str, Any]:
        return self._server.capability(self.name, version=self._version)


class InProcess:
    """A module, looked into as a copy, so that nothing that is done here can change it; the copy is
    made anew when the weights have changed."""

    at_once = 1

    def __init__(self, module: nn.Module, card: Card, device: str) -> None:
        self.name = card.name
        self._module = module
        self._card = card
        self._device = device
        self._opened: tuple[str, Session] | None = None

    def ask(self, photo: bytes | None, **keys: Any) -> Result:
        with _missed_layers():
            try:
                (answer,) = self._session().run([read_request(keys, photo)])
            except ProblemError as error:
                raise _told(error.problem) from None
            if isinstance(answer, Problem):
                raise _told(answer)
            return Result.of(to_wire(answer), photo, keys)

    def capability(self) -> Mapping[str, Any]:
        return self._session().describe()

    def _session(self) -> Session:
        from servelens.engine.budget import Limits
        from servelens.engine.model import weights_digest
        from servelens.engine.session import Session

        digest = weights_digest(self._module)
        if self._opened is None or self._opened[0] != digest:
            module = copy.deepcopy(self._module).cpu().eval()
            limits = Limits(response_bytes=ANY_SIZE)
            self._opened = digest, Session.of(module, self._card, self._device, limits)
        return self._opened[1]


def served(model: Any, server: str | Server, version: str | None, keys: Keys | None) -> Served:
    if not isinstance(model, str):
        raise ValueError(f"a server's model is called by its name, not {shorten(model)}")
    asked = server if isinstance(server, Server) else Server(server, keys=keys)
    return Served(asked, model, version)


def in_process(module: Any, use_cuda: bool, **fed: Any) -> InProcess:
    with needs("torch", "models of this process", extra="server"):
        import torch
    from servelens.visualizer.feeding import card_of

    if not isinstance(module, torch.nn.Module):
        raise ValueError(
            f"a model is an nn.Module, not {shorten(module)}; one that is served is called by its "
            "name, and takes server="
        )
    device = "cuda" if use_cuda and torch.cuda.is_available() else "cpu"
    return InProcess(module, card_of(module, **fed), device)


def _told(problem: Problem) -> NotAnswered:
    return NotAnswered(problem.code, problem.to_wire())


@contextmanager
def _missed_layers() -> Iterator[None]:
    """A layer that is not there is a ValueError too, as people catch it."""
    try:
        yield
    except LensProblem as told:
        if told.problem["type"] != "unknown_layer":
            raise
        raise LayerNotFound(told.status, told.problem) from None
