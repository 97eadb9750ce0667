"""What a file of weights is, told by its names and shapes alone.

A state dict does not say which model it is for. But no two of torchvision's architectures have the
same names and shapes, whatever their number of classes and of colours; so each is made without
weights and held against the file. What fits but for the head and the first layer is it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from servelens.engine.folder.card import Card, ModelSource
from servelens.engine.folder.loading import ModelLoadError, count_and_name
from servelens_archives.fitting import State, fit
from servelens_archives.hollow import hollow_state
from servelens_archives.shipped import recipe_names
from servelens_archives.unpickling import Unusable

CHANNELS = (1, 3)
NEAR = 0.5
OWN_CLASS = 'a model of your own class takes a recipe with file = "net.py" and class = "Net"'


@dataclass(frozen=True)
class Guess:
    """An architecture of torchvision's, and for what it was changed."""

    architecture: str
    classes: int
    channels: int
    tensors: int


@dataclass(frozen=True)
class Comparison:
    """An architecture, held against what is in a file under the architecture's names."""

    architecture: str
    expected: State
    fitted: State

    @classmethod
    def of(cls, architecture: str, state: State) -> Comparison:
        card = Card(name=architecture, model=ModelSource(architecture=architecture))
        expected = hollow_state(card)
        return cls(architecture, expected, fit(state, expected))

    @cached_property
    def first(self) -> str:
        """The weight that meets the colours."""
        return next(name for name, value in self.expected.items() if value.ndim == 4)

    @cached_property
    def head(self) -> str:
        """The module that has an output for each class: in all of torchvision's the last one."""
        return list(self.expected)[-1].rpartition(".")[0]

    @cached_property
    def strays(self) -> tuple[str, ...]:
        """The names that are in one of both alone, or in both with shapes that differ."""
        foreign = [name for name in self.fitted if name not in self.expected]
        return (*(name for name in self.expected if not self._fits(name)), *foreign)

    @property
    def share(self) -> float:
        return sum(map(self._fits, self.expected)) / len(self.expected)

    @property
    def only_head_differs(self) -> bool:
        top = f"{self.head.partition('.')[0]}."
        return all(name.startswith(top) for name in self.strays)

    def guess(self) -> Guess:
        """Where nothing is astray."""
        classes = self.fitted[list(self.expected)[-1]].shape[0]
        channels = self.fitted[self.first].shape[1]
        return Guess(self.architecture, int(classes), int(channels), len(self.expected))

    def _fits(self, name: str) -> bool:
        if name not in self.fitted:
            return False
        found, wanted = self.fitted[name].shape, self.expected[name].shape
        if len(found) != len(wanted):
            return False
        if name == self.first:
            return found[0] == wanted[0] and found[2:] == wanted[2:]
        if name.rpartition(".")[0] == self.head:
            return found[1:] == wanted[1:]
        return found == wanted


def guess(state: State, architectures: Iterable[str] | None = None) -> Guess:
    """Which of these it is, of all of torchvision's unless said; raises Unusable."""
    nearest: Comparison | None = None
    doubled = ""
    for architecture in known_architectures() if architectures is None else architectures:
        try:
            compared = Comparison.of(architecture, state)
        except ModelLoadError as error:
            doubled = str(error)
            continue
        if not compared.strays:
            return _of_photos(compared.guess())
        if nearest is None or compared.share > nearest.share:
            nearest = compared
    raise Unusable(f"is not clear: {doubled}" if doubled else _why_none(nearest))


def known_architectures() -> list[str]:
    """All that torchvision classifies with; first those that people have most."""
    from torchvision import models

    names = models.list_models(module=models)
    common = [name for name in recipe_names() if name in names]
    return [*common, *(name for name in names if name not in common)]


def _of_photos(found: Guess) -> Guess:
    if found.channels not in CHANNELS:
        raise Unusable(
            f"is a {found.architecture} whose first layer takes {found.channels} channels, "
            "where a photo has 3 or, grey, 1"
        )
    return found


def _why_none(nearest: Comparison | None) -> str:
    if nearest is None or nearest.share < NEAR:
        return f"fits no architecture of torchvision's; {OWN_CLASS}"
    told = count_and_name("that differ", nearest.strays)
    if nearest.only_head_differs:
        return (
            f"is a {nearest.architecture} but for the head, which has other layers than "
            f"torchvision gives it, and weights do not say what stands between them ({told}); "
            f"{OWN_CLASS}"
        )
    return (
        f"fits no architecture of torchvision's; the nearest is "
        f"{nearest.architecture}, of whose {len(nearest.expected)} tensors {nearest.share:.0%} fit "
        f"({told}); {OWN_CLASS}"
    )
