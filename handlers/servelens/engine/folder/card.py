"""What an archive says of its model: how to build it, how to feed it, how to read its answer.

A `Card` is the content of `model.json` in a model folder. Recipes are turned into it when an
archive is built; the worker reads nothing else about the model. It is data only: no torch here.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple, Type, TypeVar

CARD_FILE = "model.json"
WEIGHTS_FILE = "weights.npz"
CAPABILITY_FILE = "capability.json"

ACTIVATIONS = ("softmax", "sigmoid", "none")
CROPS = ("center", "none")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")

T = TypeVar("T")


@dataclass(frozen=True)
class ModelSource:
    """Where the module comes from: torchvision's builder by name, or a class in a file beside."""

    architecture: Optional[str] = None
    file: Optional[str] = None
    class_name: Optional[str] = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    num_classes: Optional[int] = None


@dataclass(frozen=True)
class InputSpec:
    """How a photo becomes the model's input; sizes are (height, width).

    Where it comes `prepared` by somebody else, resize, crop, interpolation and exif tell nothing;
    mean and std are those by which pixels were seen to be scaled, or 0 and 1.
    """

    size: Tuple[int, int] = (224, 224)
    resize: int = 256
    crop: str = "center"
    channels: int = 3
    mean: Tuple[float, ...] = (0.485, 0.456, 0.406)
    std: Tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    exif: bool = True
    prepared: bool = False


@dataclass(frozen=True)
class OutputSpec:
    """How the model's answer is read; without labels a class is called by its index."""

    labels: Optional[Tuple[str, ...]] = None
    activation: str = "softmax"


@dataclass(frozen=True)
class LensSpec:
    """What the recipe's author wants shown first; what is absent the preflight finds. `evidence`
    is what was found on example photos, by which a default plan may have been chosen."""

    default_layer: Optional[str] = None
    default_layers: Tuple[str, ...] = ()
    stages: Mapping[str, str] = field(default_factory=dict)
    default_plan: Tuple[Any, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """One model, described well enough to be built, fed and read."""

    name: str
    title: str = ""
    version: str = "1.0"
    model: ModelSource = field(default_factory=ModelSource)
    input: InputSpec = field(default_factory=InputSpec)
    output: OutputSpec = field(default_factory=OutputSpec)
    lens: LensSpec = field(default_factory=LensSpec)

    def to_dict(self) -> Dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Card:
        sections: Dict[str, Type[Any]] = {
            "model": ModelSource,
            "input": InputSpec,
            "output": OutputSpec,
            "lens": LensSpec,
        }
        parts = {name: _build(kind, data.get(name, {})) for name, kind in sections.items()}
        return cls(
            name=data["name"],
            title=data.get("title", ""),
            version=data.get("version", "1.0"),
            **parts,
        )

    def save(self, folder: Path) -> None:
        # In the recipe's order, for a layer is of the first stage whose pattern it fits.
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False)
        (folder / CARD_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Card:
        return cls.from_dict(json.loads((folder / CARD_FILE).read_text(encoding="utf-8")))


def _build(kind: Type[T], values: Mapping[str, Any]) -> T:
    """JSON knows no tuples: lists become tuples, so that a card read back equals the one saved."""
    frozen = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return kind(**frozen)
