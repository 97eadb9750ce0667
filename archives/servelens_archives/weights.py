"""Where a model's weights come from: torchvision's own, a file, or a seeded random start.

Whatever the source, the archive gets them as plain arrays under the model's own names, checked
against the model; no pickle goes into an archive, and none is opened in this process.
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from servelens.engine.folder.card import WEIGHTS_FILE, Card
from servelens.engine.folder.loading import (
    ModelLoadError,
    build_module,
    count_and_name,
    load_weights,
    write_weights,
)
from servelens.protocol import did_you_mean
from servelens_archives.errors import BuildError, WeightsError
from servelens_archives.fitting import State, fit, left_out, with_class_count, with_label_count
from servelens_archives.foreign import open_foreign
from servelens_archives.recipe import DEFAULT_WEIGHTS, NO_WEIGHTS

NETWORK_SECONDS = 30.0
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.")  # torch.hub's own convention
INSTEAD = (
    "Fetch it on a machine that can and put it into {folder}, or give a local file with "
    '--weights FILE (or weights = "FILE" in the recipe), or --weights none for random ones.'
)


@dataclass(frozen=True)
class Origin:
    """Where weights came from, as the archive's provenance says it: never a path."""

    source: str
    file: str | None = None
    sha256: str | None = None
    seed: int | None = None
    left_out: tuple[str, ...] = ()

    def warnings(self) -> tuple[str, ...]:
        if not self.left_out:
            return ()
        told = count_and_name("left out", self.left_out)
        return (f"{self.file} holds more than the model has a use for, {told}",)


def equip(folder: Path, card: Card, weights: str, seed: int) -> tuple[Card, Origin]:
    """Writes the model folder's weights; gives the card with the number of classes they are for.

    `folder` already holds the model's own Python file, where it has one.
    """
    if weights == NO_WEIGHTS:
        card = with_label_count(card)
        module = _random_module(folder, card, seed)
        origin = Origin(NO_WEIGHTS, seed=seed)
    else:
        default = weights == DEFAULT_WEIGHTS
        path = default_file(card) if default else Path(weights)
        state = open_foreign(path, folder / card.model.file if card.model.file else None)
        card = with_class_count(folder, card, state)
        module, unused = _fitted_module(folder, card, state, path.name)
        source = DEFAULT_WEIGHTS if default else "file"
        origin = Origin(source, path.name, _sha256(path), left_out=unused)
    final = module.state_dict()
    _check_plain(final)
    write_weights(folder / WEIGHTS_FILE, final)
    return card, origin


def default_file(card: Card) -> Path:
    """torchvision's newest weights of this architecture, fetched once into torch.hub's cache."""
    url = _default_url(card.model.architecture or "")
    name = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    expected = HASH_IN_NAME.search(name)
    prefix = expected[1] if expected else None
    damaged = path.is_file() and prefix is not None and not _sha256(path).startswith(prefix)
    if path.is_file() and not damaged:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _network_patience():
            torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=True)
    except (OSError, RuntimeError) as error:
        seen = f"the {name} in {path.parent} is damaged, for its hash is not the one in its name; "
        raise WeightsError(
            f"{seen if damaged else ''}{name} could not be fetched from {url}: {error}. "
            f"{INSTEAD.format(folder=path.parent)}"
        ) from None
    return path


def _default_url(architecture: str) -> str:
    from torchvision.models import get_model_weights, list_models

    try:
        url: str = get_model_weights(architecture).DEFAULT.url
    except ValueError:
        hint = did_you_mean(architecture, list_models())
        raise WeightsError(f"torchvision has no model {architecture!r}; {hint}") from None
    return url


@contextmanager
def _network_patience() -> Iterator[None]:
    """torch.hub waits for a silent network for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _random_module(folder: Path, card: Card, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _bare_module(folder, card)


def _fitted_module(
    folder: Path, card: Card, state: dict[str, Tensor], name: str
) -> tuple[nn.Module, tuple[str, ...]]:
    """The module with its weights, and the names in the file of those that it has no use for."""
    module = _bare_module(folder, card)
    expected = module.state_dict()
    fitted: State = {}
    try:
        fitted = fit(state, expected)
        load_weights(module, fitted)
    except ModelLoadError as error:
        raise WeightsError(f"{name}: {error}{_channels_hint(card, fitted, expected)}") from None
    except Exception as error:  # A class may load its state dict in a way of its own.
        raise WeightsError(f"{name}: the model does not take these weights: {error}") from error
    return module, left_out(state, fitted)


def _channels_hint(card: Card, fitted: State, expected: State) -> str:
    """torchvision's architectures are built for as many channels as the recipe says."""
    if card.model.architecture is None:
        return ""
    first = fitted.get(next(name for name, value in expected.items() if value.ndim == 4))
    channels = first.shape[1] if first is not None and first.ndim == 4 else None
    if channels not in (1, 3) or channels == card.input.channels:
        return ""
    return f"; say channels = {channels} in [input], as these weights have it"


def _bare_module(folder: Path, card: Card) -> nn.Module:
    try:
        return build_module(folder, card)
    except ModelLoadError as error:
        raise BuildError(str(error)) from None
    except Exception as error:  # Anything at all: it is the recipe's author's code.
        what = card.model.file or card.model.architecture
        raise BuildError(f"{what} cannot be built: {type(error).__name__}: {error}") from error


def _check_plain(state: dict[str, Tensor]) -> None:
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise WeightsError(
                f"the model keeps a {type(value).__name__} under {name!r} in its state dict; "
                "only tensors can go into an archive"
            )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
