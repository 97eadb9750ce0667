"""The name of a model's content: one sha256 over all files of its archive but the capability file.

Clients cache by it, and a document says with it which model it speaks of. The builder computes it
before the archive is packed and the worker again after it is unpacked, so what Python adds to a
folder by importing from it does not count.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import List

from servelens.engine.folder.card import CAPABILITY_FILE

CHUNK_BYTES = 1 << 20


def folder_digest(folder: Path) -> str:
    """For each file in order of its path: the path, a NUL, its length in 8 bytes, its content."""
    digest = hashlib.sha256()
    for name in archive_files(folder):
        if name == CAPABILITY_FILE:
            continue
        path = folder / name
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
        digest.update(path.stat().st_size.to_bytes(8, "big"))
        with open(path, "rb") as file:
            for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
                digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def archive_files(folder: Path) -> List[str]:
    """The files that make up an archive, as sorted relative paths with forward slashes."""
    names: List[str] = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        base = Path(root).relative_to(folder)
        names += [(base / name).as_posix() for name in files if not name.endswith(".pyc")]
    return sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape"))
