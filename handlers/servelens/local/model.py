"""Which archive of the store is served, under which name, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from servelens.local.errors import BadConfig

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Model:
    """An archive of the store, and how it is to be served; None leaves it to the archive.

    The same archive under two names has two queues and two sets of workers.
    """

    archive: str
    name: str
    workers: int | None = None
    batch_size: int | None = None
    batch_delay_ms: int | None = None

    @classmethod
    def parse(cls, text: str, **served: int | None) -> Model:
        """Read ``shapes.mar``, whose name is its stem, or ``name=shapes.mar``."""
        name, equals, archive = text.rpartition("=")
        archive = archive.strip()
        name = name.strip() if equals else Path(archive).stem
        if not _NAME.fullmatch(name) or Path(archive).name != archive:
            raise BadConfig(
                f"{text!r} names no model; write the archive's file name in the store, such as "
                "shapes.mar, or name=shapes.mar."
            )
        return cls(archive, name, **served)
