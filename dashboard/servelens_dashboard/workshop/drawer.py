"""Files of weights, archives and recipes that people drop: by content hash, until they are removed.

Unlike photos none makes room for another, for a file of weights may have taken days to train; what
no longer fits under the cap is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from servelens_dashboard.settings import GIGABYTE

NAME = re.compile(r"[0-9a-f]{32}")
WEIGHTS = (".pt", ".pth", ".ckpt", ".tar", ".npz")
ARCHIVE, RECIPE = ".mar", ".toml"
SUFFIXES = (*WEIGHTS, ARCHIVE, RECIPE)
LONGEST_NAME = 100
PART = ".part"
LABELS = ".labels.json"


class BadFile(Exception):
    """A sentence that says why a file is not taken, or not here."""


@dataclass(frozen=True)
class Item:
    """One file; its folder is its own, and may hold what belongs to it."""

    name: str
    file: Path

    @property
    def folder(self) -> Path:
        return self.file.parent

    @property
    def bytes(self) -> int:
        return self.file.stat().st_size

    @property
    def is_recipe(self) -> bool:
        return self.file.suffix == RECIPE

    @property
    def is_archive(self) -> bool:
        return self.file.suffix == ARCHIVE


class Drawer:
    """The folder is ours alone."""

    def __init__(self, folder: Path, cap_bytes: int, most_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.most_bytes = most_bytes
        self._folder = folder
        self._cap_bytes = cap_bytes
        for left in folder.glob(f"*{PART}"):
            left.unlink(missing_ok=True)

    def receive(self, called: str) -> Arrival:
        """A file that comes piece by piece; raises `BadFile` where such a one is not taken."""
        return Arrival(self, self._folder, file_name(called))

    def check_room(self, size: int, piece: int) -> None:
        """For a file that has come to a size with a piece that is not written yet."""
        if size > self.most_bytes:
            raise BadFile(
                f"The file has more than {_gigabytes(self.most_bytes)}, the most that is taken. "
                "Start the dashboard with a larger --file-gigabytes, or build it with "
                "scripts/build."
            )
        coming = sum(part.stat().st_size for part in self._folder.glob(f"*{PART}"))
        if sum(item.bytes for item in self.items()) + coming + piece > self._cap_bytes:
            raise BadFile(
                "With this one the files that were dropped would have more than "
                f"{_gigabytes(self._cap_bytes)}. Remove one that is no longer needed."
            )

    def items(self) -> list[Item]:
        """The newest first."""
        folders = [path for path in self._folder.iterdir() if NAME.fullmatch(path.name)]
        folders.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return [item for path in folders if (item := _item(path)) is not None]

    def find(self, name: str) -> Item:
        """Raises `BadFile` for one that is not here, or no longer."""
        item = _item(self._folder / name) if NAME.fullmatch(name) else None
        if item is None:
            raise BadFile("This file is no longer kept here. Drop it again.")
        return item

    def remove(self, name: str) -> None:
        shutil.rmtree(self.find(name).folder, ignore_errors=True)
        self.labels_of(name).unlink(missing_ok=True)

    def labels_of(self, name: str) -> Path:
        """Where the names of a model's classes are kept that a person gave."""
        return self._folder / f"{name}{LABELS}"

    def keep(self, part: Path, digest: str, called: str) -> Item:
        """The same content is kept once, under the name that it first came with."""
        folder = self._folder / digest[:32]
        known = _item(folder)
        if known is not None:
            part.unlink()
            return known
        folder.mkdir(mode=0o700, exist_ok=True)
        os.replace(part, folder / called)
        return Item(folder.name, folder / called)


class Arrival:
    """A file on its way in; what does not become whole leaves nothing."""

    def __init__(self, drawer: Drawer, folder: Path, called: str) -> None:
        self._drawer = drawer
        self._called = called
        self._part = folder / f"{secrets.token_hex(8)}{PART}"
        self._sink = open(self._part, "xb")  # noqa: SIM115 - closed by our own __exit__
        self._hash = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> Arrival:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sink.close()
        self._part.unlink(missing_ok=True)

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        self._drawer.check_room(self._size, len(piece))
        try:
            self._sink.write(piece)
            self._sink.flush()
        except OSError as error:
            raise BadFile(f"The file could not be kept: {error.strerror}.") from error
        self._hash.update(piece)

    def close(self) -> Item:
        if not self._size:
            raise BadFile("The file is empty.")
        self._sink.close()
        return self._drawer.keep(self._part, self._hash.hexdigest(), self._called)


def file_name(called: str) -> str:
    """What a person calls the file, as a name that can do no harm."""
    path = Path(called.replace("\\", "/"))
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BadFile(f"{path.name[:80]!r} is none of {', '.join(SUFFIXES)}.")
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).strip("-_.")[:LONGEST_NAME]
    return f"{stem or 'model'}{suffix}"


def _item(folder: Path) -> Item | None:
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    found = [path for path in files if path.suffix in SUFFIXES]
    return Item(folder.name, found[0]) if found else None


def _gigabytes(size: int) -> str:
    return f"{size / GIGABYTE:.3g} GB"
