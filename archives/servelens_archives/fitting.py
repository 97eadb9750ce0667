"""Makes a state dict fit the model it is for, as far as its author may count on.

Files in the wild call weights by a wrapper's prefix or by a name of long ago, hold heads that only
training uses, or lack counters that only training reads. What does not fit after that is named.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from servelens.engine.folder.card import Card
from servelens.engine.folder.loading import build_module

PREFIXES = ("module.", "_orig_mod.", "model.")
TRAINING_HEADS = ("aux1.", "aux2.", "AuxLogits.")
COUNTER = "num_batches_tracked"
# torchvision's own files of DenseNet and ViT still have the names from before these were changed.
FORMER_NAMES: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)"), r"\1\2"),
    (re.compile(r"(\.mlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(\.mlp)\.linear_2\."), r"\1.3."),
)

State = Mapping[str, Tensor]


def fit(state: State, expected: State) -> dict[str, Tensor]:
    """The state under the model's names; `expected` is the model's own state dict."""
    fitted = _renamed(_without_prefixes(dict(state), expected), expected)
    fitted = {
        name: value
        for name, value in fitted.items()
        if name in expected or not name.startswith(TRAINING_HEADS)
    }
    counters = {name: value for name, value in expected.items() if name.endswith(COUNTER)}
    return {**fitted, **{name: counters[name] for name in counters if name not in fitted}}


def with_class_count(folder: Path, card: Card, state: State) -> Card:
    """The card with the number of classes that these weights are for, where it says none.

    The head is the last layer of nearly every classifier. Its first dimension and the builder's
    default are tried on the model's shapes alone, and the one that fits more weights is kept.
    """
    if card.model.num_classes is not None:
        return card
    *_, last = state.values()
    guesses = [card, _counting(card, int(last.shape[0]))] if last.ndim else [card]
    return min(guesses, key=lambda guess: _misfits(folder, guess, state))


def with_label_count(card: Card) -> Card:
    """Where no weights say otherwise, there are as many classes as names for them."""
    if card.model.num_classes is not None or card.output.labels is None:
        return card
    return _counting(card, len(card.output.labels))


def _counting(card: Card, classes: int) -> Card:
    return dataclasses.replace(card, model=dataclasses.replace(card.model, num_classes=classes))


def _misfits(folder: Path, card: Card, state: State) -> float:
    try:
        with torch.device("meta"):
            expected = build_module(folder, card).state_dict()
    except Exception:  # A class of one's own may do anything; what it does is told later.
        return float("inf")
    fitted = fit(state, expected)
    wrong = [n for n in expected if n not in fitted or fitted[n].shape != expected[n].shape]
    return len(wrong)


def _without_prefixes(state: dict[str, Tensor], expected: State) -> dict[str, Tensor]:
    prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in state)), None)
    if prefix is None or any(name.startswith(prefix) for name in expected):
        return state
    bare = {name[len(prefix) :]: value for name, value in state.items()}
    return _without_prefixes(bare, expected) if bare else bare


def _renamed(state: dict[str, Tensor], expected: State) -> dict[str, Tensor]:
    return {name if name in expected else _current(name): value for name, value in state.items()}


def _current(name: str) -> str:
    for former, now in FORMER_NAMES:
        name = former.sub(now, name)
    return name
