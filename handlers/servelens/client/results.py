"""What a server answered, as frozen objects: numbers as NumPy arrays, with where they come from.

Each shows itself in a notebook, gives its numbers (`to_numpy`) and a figure (`to_matplotlib`), and
saves itself; `save("cat.npz")` goes by the name, and a name without a suffix is a folder with all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from servelens import protocol
from servelens.client.errors import NothingToShow
from servelens.client.reading import NOTHING, OURS, carried, freeze, read

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Origin:
    """What a result was made of: the model, the photo where there was one, and what was asked."""

    model: protocol.ModelRef
    input: protocol.InputRef | None
    photo: bytes | None = field(default=None, repr=False)
    asked: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, eq=False)
class Prediction(protocol.Prediction):
    more: Mapping[str, Any] = carried()


class Showable:
    """What every result with pictures can do. It equals itself alone: arrays have no equality."""

    origin: Origin | None

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def title(self) -> str:
        raise NotImplementedError

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The maps that it is made of; a map is made of itself."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        from servelens.client import html

        return html.show(self)

    def to_matplotlib(self) -> Figure:
        """Needs the extra `notebook`; what becomes of the figure is the caller's to say."""
        from servelens.client import figures

        return figures.draw(self)

    def save(self, path: str | PathLike[str]) -> Path:
        """A .npz, .safetensors or .json with all numbers, a .png with where it comes from in its
        metadata, or a folder of all that; a file is there whole or not at all."""
        from servelens.client import saving

        return saving.save(self, Path(path))


class Single(Showable):
    """One entry of an answer: its own numbers, or why there are none."""

    problem: protocol.Problem | None

    @property
    def numbers(self) -> Numbers | None:
        raise NotImplementedError

    def to_numpy(self) -> Numbers:
        if self.numbers is None:
            raise NothingToShow(f"{self.title}: {self.why_nothing}")
        return self.numbers

    @property
    def entries(self) -> tuple[Entry, ...]:
        return (cast("Entry", self),)

    @property
    def why_nothing(self) -> str:
        return "no numbers were asked for" if self.problem is None else self.problem.words


@dataclass(frozen=True, eq=False)
class Attribution(Single, protocol.Attribution):
    """One map, of one method at one layer for one class; or the `problem` that there is none."""

    more: Mapping[str, Any] = carried()
    origin: Origin | None = field(default=None, repr=False, metadata=OURS)

    @property
    def numbers(self) -> Numbers | None:
        return self.map

    @property
    def title(self) -> str:
        where = f" at {self.layer}" if self.layer else ""
        return f"{self.method}{where}{_for(self.target)}"


@dataclass(frozen=True, eq=False)
class Activation(Single, protocol.Activation):
    """What one layer gave: `maps` are those of `channels`, in their order."""

    more: Mapping[str, Any] = carried()
    origin: Origin | None = field(default=None, repr=False, metadata=OURS)

    @property
    def numbers(self) -> Numbers | None:
        return self.maps

    @property
    def title(self) -> str:
        return f"activations of {self.layer}"


Entry = Attribution | Activation


@dataclass(frozen=True, eq=False)
class Result(Showable, protocol.Document):
    """A whole answer; `document` is the same as it came, keys that we do not know included."""

    predictions: tuple[Prediction, ...]
    activations: tuple[Activation, ...]
    attributions: tuple[Attribution, ...]
    more: Mapping[str, Any] = carried()
    origin: Origin | None = field(default=None, repr=False, metadata=OURS)
    document: Mapping[str, Any] = carried()

    @classmethod
    def of(
        cls,
        document: Any,
        photo: bytes | None = None,
        asked: Mapping[str, Any] = NOTHING,
    ) -> Result:
        """From a document whose tensors are arrays, as `servelens.codec` reads them."""
        plain = read(cls, document, "document")
        origin = Origin(plain.model, plain.input, photo, freeze(asked))
        return replace(
            plain,
            activations=tuple(replace(a, origin=origin) for a in plain.activations),
            attributions=tuple(replace(a, origin=origin) for a in plain.attributions),
            origin=origin,
            document=freeze(document),
        )

    def to_numpy(self) -> dict[str, Numbers]:
        """Every array of the answer, under the name that it has in an npz: "attributions/0/map"."""
        return dict(_arrays(self.document, ""))

    @property
    def title(self) -> str:
        best = f": {self.predictions[0].label}" if self.predictions else ""
        return f"{self.model.name}{best}"

    @property
    def entries(self) -> tuple[Entry, ...]:
        return (*self.attributions, *self.activations)

    @property
    def has_failures(self) -> bool:
        """Whether some part of what was asked could not be answered."""
        beside = [self.ablation, self.receptive_field]
        several = [*self.entries, *(self.weights or ()), *(self.channel_ranking or ())]
        asked = [part for part in (*several, *beside) if part is not None]
        return bool(self.problems) or any(part.problem is not None for part in asked)


def _for(target: protocol.TargetRef | None) -> str:
    if target is None:
        return ""
    versus = f" versus {target.versus.label}" if target.versus else ""
    return f" for {target.label}{versus}"


def _arrays(value: Any, path: str) -> list[tuple[str, Numbers]]:
    if isinstance(value, np.ndarray):
        return [(path, value)]
    if isinstance(value, Mapping):
        items: Any = value.items()
    else:
        items = enumerate(value) if isinstance(value, tuple) else ()
    prefix = f"{path}/" if path else ""
    return [found for key, item in items for found in _arrays(item, f"{prefix}{key}")]
