"""Example photos of a folder, by which a default method can be chosen; masks lie beside them.

`NAME.mask.png` beside `NAME.jpg` says where the true cause is, and `NAME.mark.png` what should not
matter, as in the demo's samples. Folders in the folder count too, as of one class each.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from servelens.engine.decoding import FORMATS
from servelens_archives.errors import BuildError

SUFFIXES = frozenset(
    suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS
)
MASK, MARK = ".mask.png", ".mark.png"
# Each costs some hundred images through the model, and the mean over as many hardly moves.
MOST = 16


@dataclass(frozen=True)
class Example:
    """`name` is its path in the folder."""

    name: str
    photo: Path
    mask: Path | None


@dataclass(frozen=True)
class Examples:
    """Those that are used, and how many there are."""

    used: tuple[Example, ...]
    found: int

    @property
    def masks(self) -> int:
        return sum(example.mask is not None for example in self.used)

    def words(self) -> str:
        some = "" if len(self.used) == self.found else f"{len(self.used)} of "
        return f"{some}{self.found} photos, {self.masks} with a mask"


def find_examples(folder: Path) -> Examples:
    """Of more than are used, those are that lie evenly in the order of the names."""
    if not folder.is_dir():
        raise BuildError(f"{folder}, where example photos should be, is no folder")
    names = sorted(
        os.path.relpath(os.path.join(root, name), folder)
        for root, _, files in os.walk(folder, onerror=_refuse)
        for name in files
        if _is_photo(name) and os.path.isfile(os.path.join(root, name))
    )
    if not names:
        raise BuildError(
            f"{folder} has no photos: no file whose name ends with one of "
            f"{', '.join(sorted(SUFFIXES))}"
        )
    count = min(len(names), MOST)
    used = [names[place * len(names) // count] for place in range(count)]
    return Examples(tuple(_example(folder, name) for name in used), len(names))


def _is_photo(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not name.lower().endswith((MASK, MARK))


def _example(folder: Path, name: str) -> Example:
    photo = folder / name
    mask = photo.with_name(photo.stem + MASK)
    return Example(name, photo, mask if mask.exists() else None)


def _refuse(error: OSError) -> None:
    raise BuildError(f"{error.filename} cannot be looked into: {error.strerror}") from error
