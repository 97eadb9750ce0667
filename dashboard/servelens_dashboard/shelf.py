"""Photos by content hash: those that people bring lie on disk under a cap, samples stay.

A photo's name is the beginning of its SHA-256, so that a link names a photo and not a visitor, and
the same photo lies here once.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from servelens.client import BadPhoto
from servelens.client.photos import FORMATS, shown

NAME = re.compile(r"[0-9a-f]{32}")
MASK = ".mask.png"
MARK = ".mark.png"


@dataclass(frozen=True)
class Sample:
    """A photo that ships, with the files that say where its cause is, and where a mark that is
    none, if there are such."""

    title: str
    path: Path
    mask: Path | None
    mark: Path | None


class Shelf:
    """The folder is ours alone; the least recently used photos make room for new ones."""

    def __init__(self, folder: Path, cap_bytes: int, most_bytes: int, samples: Path | None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._cap_bytes = cap_bytes
        self._most_bytes = most_bytes
        self.samples: Mapping[str, Sample] = MappingProxyType(_find_samples(samples))

    def put(self, photo: bytes) -> str:
        """Raises `BadPhoto` for what is too large, or cannot be opened or kept."""
        if len(photo) > self._most_bytes:
            raise BadPhoto(
                f"The photo has {len(photo) / 1e6:.0f} MB; at most {self._most_bytes / 1e6:.0f} MB "
                "are taken. Make it smaller: no model looks at so many pixels."
            )
        if shown(photo) is None:
            raise BadPhoto(f"This is no photo that can be opened; {', '.join(FORMATS)} can.")
        name = name_of(photo)
        if name not in self.samples and not self._path(name).exists():
            self._keep(name, photo)
        return name

    def get(self, name: str) -> bytes:
        """Raises `BadPhoto` for one that is not here, or no longer."""
        sample = self.samples.get(name)
        path = sample.path if sample else self._path(name)
        try:
            photo = path.read_bytes()
            if sample is None:
                path.touch()
        except OSError as error:
            raise BadPhoto(
                "The photo of this link is no longer kept here. Drop it again, or take a sample."
            ) from error
        return photo

    def mask(self, name: str) -> np.ndarray | None:
        """Where the true cause is, as [height, width] of booleans; known of samples only."""
        sample = self.samples.get(name)
        return _read_mask(sample.mask) if sample else None

    def mark(self, name: str) -> np.ndarray | None:
        """Where there is a mark that should not matter."""
        sample = self.samples.get(name)
        return _read_mask(sample.mark) if sample else None

    def _path(self, name: str) -> Path:
        """A name that is none names no file, wherever it came from."""
        return self._folder / (name if NAME.fullmatch(name) else "none")

    def _keep(self, name: str, photo: bytes) -> None:
        half_done = self._folder / f".{name}.{secrets.token_hex(4)}"
        try:
            self._make_room(len(photo))
            half_done.write_bytes(photo)
            os.replace(half_done, self._path(name))
        except OSError as error:
            half_done.unlink(missing_ok=True)
            raise BadPhoto(
                f"The photo could not be kept: {error.strerror}. Make room in the dashboard's "
                "folder of photos, or give it another with --photos."
            ) from error

    def _make_room(self, wanted: int) -> None:
        photos = [
            (path, path.stat()) for path in self._folder.iterdir() if NAME.fullmatch(path.name)
        ]
        used = sum(stat.st_size for _, stat in photos)
        for path, stat in sorted(photos, key=lambda photo: photo[1].st_mtime_ns):
            if used + wanted <= self._cap_bytes:
                return
            path.unlink(missing_ok=True)
            used -= stat.st_size


def name_of(photo: bytes) -> str:
    return hashlib.sha256(photo).hexdigest()[:32]


def _find_samples(folder: Path | None) -> dict[str, Sample]:
    """Those with something to be caught by come first."""
    found = {}
    for path in sorted(folder.iterdir(), key=_order) if folder else ():
        if path.name.endswith((MASK, MARK)) or not path.is_file():
            continue
        photo = path.read_bytes()
        if shown(photo) is not None:
            beside = (path.with_name(f"{path.stem}{end}") for end in (MASK, MARK))
            title = path.stem.replace("-", ", ").replace("_", " ")
            known = (other if other.exists() else None for other in beside)
            found[name_of(photo)] = Sample(title, path, *known)
    return found


def _read_mask(path: Path | None) -> np.ndarray | None:
    if path is None:
        return None
    with Image.open(path, formats=["PNG"]) as opened:
        return np.asarray(opened.convert("L")) > 127


def _order(path: Path) -> tuple[bool, str]:
    return not path.with_name(f"{path.stem}{MARK}").exists(), path.name
