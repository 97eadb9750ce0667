"""What is done to the server's models: registered, scaled, made the default one, unregistered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from servelens.client import Refused
from servelens.client.blame import worker_error
from servelens_dashboard.lens import Lens
from servelens_dashboard.settings import Settings
from servelens_dashboard.url_state import Named

PATIENCE_S = 600.0
MOST_WORKERS = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class NotDone(Exception):
    """A sentence that says what was not done, and why."""


def archives(settings: Settings) -> list[str]:
    """What the store has, where it is on this machine."""
    return sorted(path.name for path in settings.store.glob("*.mar")) if settings.store else []


def register(lens: Lens, settings: Settings, archive: str, name: str, workers: int) -> str:
    """Only a file of the store is ever named to the server, never an address."""
    archive, name = archive.strip(), name.strip() or Path(archive.strip()).stem
    if not NAME.fullmatch(archive) or not archive.endswith(".mar"):
        raise NotDone(f"{archive!r} is no archive of the model store; name one such as shapes.mar.")
    if settings.store is not None and archive not in archives(settings):
        known = ", ".join(archives(settings)) or "none"
        raise NotDone(f"The model store has no {archive}; it has {known}.")
    check_name(name)
    if not 0 <= workers <= MOST_WORKERS:
        raise NotDone(f"A model can have 0 to {MOST_WORKERS} workers, not {workers}.")
    try:
        lens.server.register(archive, name, workers=workers, patience_s=PATIENCE_S)
    except Refused as refused:
        raise NotDone(_cause(f"{name} was not registered", name, refused, settings)) from refused
    return f"{name} is registered from {archive}."


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise NotDone(f"{name!r} is no model's name; take letters, digits, and . _ - between them.")


def scale(lens: Lens, settings: Settings, model: Named, workers: int) -> str:
    if not 0 <= workers <= MOST_WORKERS:
        raise NotDone(f"A model can have 0 to {MOST_WORKERS} workers, not {workers}.")
    try:
        lens.server.scale(model.name, workers, PATIENCE_S, version=model.version)
    except Refused as refused:
        raise NotDone(_cause(f"{model.name} was not scaled", model.name, refused, settings)) from (
            refused
        )
    return f"{model.name} {model.version} has {workers} {'worker' if workers == 1 else 'workers'}."


def add_worker(lens: Lens, settings: Settings, model: Named) -> str:
    return scale(lens, settings, model, _workers(lens, model) + 1)


def remove_worker(lens: Lens, settings: Settings, model: Named) -> str:
    return scale(lens, settings, model, _workers(lens, model) - 1)


def make_default(lens: Lens, settings: Settings, model: Named) -> str:
    lens.server.set_default(model.name, model.version or "")
    return f"{model.name} without a version is {model.version} now."


def unregister(lens: Lens, settings: Settings, model: Named) -> str:
    """TorchServe lets the default version go last, and refuses without a word on what to do."""
    versions = lens.look_again().models.get(model.name, ())
    if len(versions) > 1 and versions[0].version == model.version:
        raise NotDone(
            f"The default version goes last, and {model.name} {model.version} is the default one: "
            "make another the default first."
        )
    lens.server.unregister(model.name, version=model.version)
    return f"{model.name} {model.version} is unregistered; its archive is where it was."


DEEDS: Mapping[str, Callable[[Lens, Settings, Named], str]] = {
    "add": add_worker,
    "remove": remove_worker,
    "default": make_default,
    "unregister": unregister,
}


def _workers(lens: Lens, model: Named) -> int:
    return len(lens.look_again().find(model).workers)


def _cause(what: str, name: str, refused: Refused, settings: Settings) -> str:
    """TorchServe's own word, and the worker's, which stands in its log alone."""
    said = "" if settings.logs is None else worker_error(settings.logs / "model_log.log", name)
    last = said.strip().splitlines()[-1:] or ["the server's model_log.log says why"]
    reason = refused.reason.rstrip(".")
    return f"{what}: {reason}. The worker's last word: {last[0]}."
