"""Methods that need images of their own: what is run for them, and how it becomes a map.

A `Series` lays out, for one row, the images to run: the steps of a path, noisy copies, windows
covered one by one. The plan runs them in chunks, for all targets and all methods that share the
series at once; each method's `Tally` takes what every chunk gave and can be asked for its map at
any time. Image i of a series depends on i and the seed alone, so that a share of the work can be
done in another call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Mapping, Optional, Sequence, Tuple

import torch

from servelens.engine.folder.card import InputSpec
from servelens.engine.kit.maps import Map
from servelens.engine.kit.params import Param

Shape = Tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """One row as the shared pass left it: its input [C, H, W], what the explained layer gave for
    it (where the method reads that), and the seed of all that is drawn."""

    input: torch.Tensor
    spec: InputSpec
    seed: int
    activation: Optional[torch.Tensor] = None

    def generator(self) -> torch.Generator:
        """On the CPU, so that a seed means the same on every device."""
        return torch.Generator().manual_seed(self.seed)


class Samples(ABC):
    """The images of a series, laid out for one row."""

    # Whether every image is the row's own, and only what is put into the layer differs.
    one_input: ClassVar[bool] = False
    # An image whose score the tallies need besides the row's own: what the path starts from.
    baseline: Optional[torch.Tensor] = None
    # What the explained layer gives for it, known before the first image is run.
    start: Optional[torch.Tensor] = None

    @abstractmethod
    def inputs(self, indices: Sequence[int]) -> torch.Tensor:
        """[n, C, H, W] on the device of the row's input."""

    def layer_values(self, indices: Sequence[int]) -> Optional[torch.Tensor]:
        """[n, ...] to put in place of what the explained layer gives; None leaves it alone."""
        return None


class Series(ABC):
    """What is run, declared once and shared by every method that can read it."""

    params: ClassVar[Tuple[Param, ...]] = ()
    # Whether images depend on the explained layer, so that two layers cannot share them.
    of_layer: ClassVar[bool] = False
    # The parameter that a smaller budget lowers, where there is one.
    thinned_by: ClassVar[Optional[str]] = None

    @abstractmethod
    def count(self, params: Mapping[str, Any], image: Shape, layer: Optional[Shape]) -> int:
        """How many images, known before any pass; `image` is [C, H, W], `layer` the explained
        layer's shape without the batch."""

    @abstractmethod
    def lay_out(self, source: Source, params: Mapping[str, Any]) -> Samples:
        """The row's images; nothing is run yet."""

    def scored_ends(self, params: Mapping[str, Any]) -> int:
        """Images besides those counted: 1 where the samples have a baseline, 2 where what a layer
        gives for that is put into it."""
        return 0

    def passes(
        self, params: Mapping[str, Any], images: int, targets: int, *, back: bool
    ) -> Tuple[int, int]:
        """Images forward and back for so many of its images; `back` where gradients are read."""
        return images + self.scored_ends(params), images * targets if back else 0

    def thin(
        self, params: Mapping[str, Any], most: int, image: Shape, layer: Optional[Shape]
    ) -> Optional[Dict[str, Any]]:
        """The same with at most so many images, or None where so few make no map."""
        if self.thinned_by is None:
            return None
        (param,) = (param for param in self.params if param.name == self.thinned_by)
        each = self.count(params, image, layer) / params[param.name]
        fewer = int(most / each)
        least = getattr(param.shape, "min", None) or 1
        return None if fewer < least else {**params, param.name: fewer}


@dataclass(frozen=True)
class Ends:
    """The score of the row's own image, and of the samples' baseline where they have one: where the
    images differ in the layer alone, of the image with what the layer gives for the baseline."""

    whole: float
    empty: Optional[float] = None


@dataclass(frozen=True)
class Shot:
    """What a chunk of a series gave for one target: the first dimension is the chunk's images."""

    indices: Sequence[int]
    inputs: torch.Tensor
    scores: torch.Tensor
    input_gradient: Optional[torch.Tensor] = None
    activation: Optional[torch.Tensor] = None
    layer_gradient: Optional[torch.Tensor] = None
    relevance: Optional[torch.Tensor] = None


class Tally(ABC):
    """One method's running answer for one row and one target."""

    def __init__(self, source: Source, samples: Any, ends: Ends, params: Mapping[str, Any]) -> None:
        self.source = source
        self.samples = samples
        self.ends = ends
        self.params = params

    @abstractmethod
    def add(self, shot: Shot) -> None:
        """Shots come in the order of their images, each once."""

    def follow(self, shot: Shot) -> None:
        """The image before a share's first, for methods that look back from each to the last."""
        raise NotImplementedError(f"{type(self).__name__} does not look back")

    @abstractmethod
    def map(self) -> Map:
        """Of all that was added so far."""

    def share(self) -> Map:
        """Of a part of the work: sums and weights instead of their quotient."""
        raise NotImplementedError(f"{type(self).__name__} does not come in parts")
