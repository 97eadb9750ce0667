"""Makes a state dict fit the model it is for, as far as its author may count on.

Files in the wild call weights by a wrapper's prefix or by a name of long ago, hold heads that only
training uses, or lack counters that only training reads. What does not fit after that is named.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from servelens.engine.folder.card import Card
from servelens.engine.folder.loading import ModelLoadError
from servelens_archives.hollow import hollow_state

TRAINING_HEADS = ("aux1.", "aux2.", "AuxLogits.")
COUNTER = "num_batches_tracked"
FORMER_NAMES: Sequence[tuple[re.Pattern[str], str]] = (
    # torch.compile wraps parts of a model too.
    (re.compile(r"(^|\.)_orig_mod\."), r"\1"),
    # torchvision's own files of DenseNet and ViT still have the names from before these changed.
    (re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)"), r"\1\2"),
    (re.compile(r"(\.mlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(\.mlp)\.linear_2\."), r"\1.3."),
)
# Of so many sizes, counted from the last weight, one is the number of classes.
LAST_SIZES = 3

State = Mapping[str, Tensor]


def fit(state: State, expected: State) -> dict[str, Tensor]:
    """The state under the model's names; `expected` is the model's own state dict.

    What a wrapper keeps beside the model, a loss's weights say, is left out if the model is whole
    without it. Raises ModelLoadError where the model is there more than once.
    """
    prefix = _wrapping(state, expected)
    inside = {n.removeprefix(prefix): value for n, value in state.items() if n.startswith(prefix)}
    outside = {name: value for name, value in state.items() if not name.startswith(prefix)}
    fitted = _with_head(_renamed(inside, expected), expected)
    if not all(name in fitted for name in expected if not name.endswith(COUNTER)):
        fitted = {**outside, **fitted}
    fitted = {
        name: value
        for name, value in fitted.items()
        if name in expected or not name.startswith(TRAINING_HEADS)
    }
    counters = {name: value for name, value in expected.items() if name.endswith(COUNTER)}
    return {**fitted, **{name: counters[name] for name in counters if name not in fitted}}


def left_out(state: State, fitted: State) -> tuple[str, ...]:
    """The file's names of what `fit` did not take into the model."""
    taken = {id(value) for value in fitted.values()}
    return tuple(name for name, value in state.items() if id(value) not in taken)


def with_class_count(folder: Path, card: Card, state: State) -> Card:
    """The card with the number of classes that these weights are for, where it says none.

    The head is the last layer of nearly every classifier. The builder's default and the first
    dimensions of the last weights are tried on the model's shapes alone, and the one that fits
    more weights is kept.
    """
    if card.model.num_classes is not None:
        return card
    sizes = dict.fromkeys(int(v.shape[0]) for v in reversed(list(state.values())) if v.ndim)
    guesses = [card, *(_counting(card, size) for size in [*sizes][:LAST_SIZES] if size)]
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
        expected = hollow_state(card, folder)
        fitted = fit(state, expected)
    except Exception:  # A class of one's own may do anything; what it does is told later.
        return float("inf")
    wrong = [n for n in expected if n not in fitted or fitted[n].shape != expected[n].shape]
    return len(wrong)


def _wrapping(state: State, expected: State) -> str:
    """What stands before the model's own names: the prefix under which most of them are found."""
    counts = Counter(prefix for name in state for prefix in _prefixes(name, expected))
    most = max(counts.values(), default=0)
    best = sorted((prefix for prefix, count in counts.items() if count == most), key=len)
    if len(best) > 1 and best[0] and 2 * most > len(expected):
        raise ModelLoadError(
            f"the model's weights are in it {len(best)} times, under "
            f"{' and '.join(repr(prefix) for prefix in best)}; save the ones that are meant alone"
        )
    return best[0] if best else ""


def _prefixes(name: str, expected: State) -> Iterator[str]:
    start = 0
    while start <= len(name):
        if name[start:] in expected:
            yield name[:start]
        dot = name.find(".", start)
        start = len(name) + 1 if dot < 0 else dot + 1


def _renamed(state: State, expected: State) -> dict[str, Tensor]:
    return {name if name in expected else _current(name): value for name, value in state.items()}


@lru_cache(maxsize=10_000)  # a file's names are held against each architecture's
def _current(name: str) -> str:
    for former, now in FORMER_NAMES:
        name = former.sub(now, name)
    return name


def _with_head(state: State, expected: State) -> dict[str, Tensor]:
    """One layer that stands in a Sequential in the file and alone in the model, or the reverse.

    So it is when a head was replaced by a dropout and a linear layer, or such a pair by a layer.
    """
    theirs = {name.rpartition(".")[0] for name in state if name not in expected}
    ours = {name.rpartition(".")[0] for name in expected if name not in state}
    if len(theirs) != 1 or len(ours) != 1:
        return dict(state)
    [their], [our] = theirs, ours
    if not f"{their}.".startswith(f"{our}.") and not f"{our}.".startswith(f"{their}."):
        return dict(state)
    return {
        name if name in expected else our + name.removeprefix(their): value
        for name, value in state.items()
    }
