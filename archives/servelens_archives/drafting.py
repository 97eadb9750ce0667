"""A recipe for a file of weights that came without one: found where it can be, else by habit.

What no weights say, as the size and the scale of pixels, is what torchvision itself feeds the
architecture. The recipe names it all, so that a person sees it and can change it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servelens_archives.checks import NAME
from servelens_archives.errors import BuildError
from servelens_archives.fitting import State
from servelens_archives.guessing import Guess, guess
from servelens_archives.labels import labels_beside
from servelens_archives.recipe import GREY, PRETRAINED_KWARGS, read_table
from servelens_archives.shipped import IMAGENET_LABELS, shipped_recipe

IMAGENET_CLASSES = 1000
LONGEST_NAME = 100

Table = dict[str, Any]


@dataclass(frozen=True)
class Draft:
    """A recipe as its TOML would be read, and what was found, a sentence each."""

    table: Table
    findings: tuple[str, ...]


def draft(file: Path, state: State, architecture: str | None = None, content: Any = None) -> Draft:
    """`content` is the whole file's. Raises Unusable where the weights fit no architecture, or not
    the one that is said."""
    found = guess(state, None if architecture is None else [architecture])
    labels, origin = _labels(found, content)
    table = {
        "name": name_of(file),
        "title": file.stem,
        "model": {
            "architecture": found.architecture,
            "weights": file.name,
            "num_classes": found.classes,
            **_kwargs(found.architecture),
        },
        "input": _input(found),
        **({"output": {"labels": labels}} if labels else {}),
        **_lens(found.architecture),
    }
    return Draft(table, tuple(_findings(found, table, origin)))


def name_of(file: Path) -> str:
    """The file's name as a model may have it."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", file.stem).strip("-_.")[:LONGEST_NAME]
    return name if NAME.fullmatch(name) else "model"


def _kwargs(architecture: str) -> Table:
    """Nearly every such model began with torchvision's weights, which turn the input into that of
    the original; it is fed so ever since."""
    kwargs = PRETRAINED_KWARGS.get(architecture)
    return {"kwargs": dict(kwargs)} if kwargs else {}


def _input(found: Guess) -> Table:
    from torchvision.models import get_model_weights

    habit = next(iter(get_model_weights(found.architecture))).transforms()
    scale = {"mean": habit.mean, "std": habit.std} if found.channels == 3 else GREY
    return {
        "channels": found.channels,
        "size": habit.crop_size[0],
        "resize": habit.resize_size[0],
        "interpolation": habit.interpolation.value,
        **{key: list(values) for key, values in scale.items()},
    }


def _labels(found: Guess, content: Any) -> tuple[list[str] | str | None, str]:
    """What the classes are called, and where that is from."""
    beside = labels_beside(content, found.classes)
    if beside is not None:
        return list(beside[1]), f"the classes are called as {beside[0]} beside the weights has them"
    if found.classes == IMAGENET_CLASSES and IMAGENET_LABELS.is_file():
        return (
            str(IMAGENET_LABELS),
            "the classes are called as ImageNet's, for there are as many",
        )
    return None, "what the classes are called, the file does not say"


def _lens(architecture: str) -> Table:
    """Stages have names where a recipe of ours gives this architecture's some."""
    try:
        table = read_table(shipped_recipe(architecture))
    except BuildError:
        return {}
    return {"lens": table["lens"]} if "lens" in table else {}


def _findings(found: Guess, table: Mapping[str, Any], origin: str) -> Iterator[str]:
    article = "an" if found.architecture[0] in "aeio" else "a"
    yield f"all {found.tensors} tensors are those of {article} {found.architecture}"
    colours = "grey photos" if found.channels == 1 else "photos in colour"
    yield f"{_counted(found.classes)} by its head, and {colours} by its first layer"
    size = table["input"]["size"]
    yield (
        f"{size} x {size} pixels with mean and std as torchvision feeds it; "
        "weights do not say, so change what you trained with otherwise"
    )
    yield origin


def _counted(classes: int) -> str:
    return "1 class" if classes == 1 else f"{classes} classes"
