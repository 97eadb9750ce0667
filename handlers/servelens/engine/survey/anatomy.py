"""What a survey finds out about a model: its layers, how data flows, where the maps are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Tuple

from servelens.engine.head import Head


@dataclass(frozen=True)
class ReceptiveField:
    """The input pixels that a layer's units see, by arithmetic; (vertical, horizontal) each.

    Pixel i lies at i. Unit u of an axis has its centre at offset + u * stride and sees (size - 1)
    / 2 pixels to either side of it, beyond the image's border too. With `whole` it sees all of
    the image (behind a global pooling, a squeeze-excitation gate, attention, batch statistics);
    the numbers then only tell where a unit lies.
    """

    size: Tuple[int, int]
    stride: Tuple[float, float]
    offset: Tuple[float, float]
    whole: bool


@dataclass(frozen=True)
class Layer:
    """One module that ran. Shape, field and place in the order are those of its last call.

    `shape` is None where it gave no single tensor with a row for each image. `leaf`: no other
    module ran inside it. `changed_in_place`: what it gave was overwritten later in the pass, so
    that a hook must clone it. `receptive_field` is None where it is not known or the units lie on
    no grid. Stride and kernel are those of a convolution or pooling module.
    """

    name: str
    type: str
    calls: int
    shape: Optional[Tuple[int, ...]]
    stride: Optional[Tuple[int, int]]
    kernel: Optional[Tuple[int, int]]
    parameters: int
    receptive_field: Optional[ReceptiveField]
    leaf: bool
    changed_in_place: bool
    differentiable: bool

    @property
    def grid(self) -> Optional[Tuple[int, int]]:
        """Height and width of its maps, where they are more than one unit."""
        if self.shape is None or len(self.shape) != 3 or self.shape[1] * self.shape[2] <= 1:
            return None
        return self.shape[1], self.shape[2]


@dataclass(frozen=True)
class Survey:
    """Layers come in the order in which their last calls ended: a container after its parts, and
    each where the value that it is asked for is computed.

    `edges` lead from leaf to leaf, through whatever happens between modules; an earlier call of a
    module that is called again is `name#0`, so that edges never form a circle. `stages` divides
    all layers by resolution, the last stage is "head". `problems` say why the model cannot be
    served, `warnings` what its owner should know; both are sentences.
    """

    layers: Tuple[Layer, ...]
    edges: Tuple[Tuple[str, str], ...]
    head: Head
    default_layer: Optional[str]
    default_layers: Tuple[str, ...]
    stages: Mapping[str, Tuple[str, ...]]
    problems: Tuple[str, ...]
    warnings: Tuple[str, ...]
    hookable: bool
    # How many ReLUs run in a pass, as modules or as functions.
    rectifiers: int
