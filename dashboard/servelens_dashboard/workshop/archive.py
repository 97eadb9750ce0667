"""A dropped archive, as far as a page needs to know it: nothing of it is unpacked or run here."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

MANIFEST = "MAR-INF/MANIFEST.json"
MOST_BYTES = 1 << 20
LENS_HANDLERS = ("lens_handler", "instrumented_handler")


def has_lens(path: Path) -> bool:
    """Whether its handler is one of ours; of what cannot be read the builder says why."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(MANIFEST) as file:
            handler = json.loads(file.read(MOST_BYTES))["model"]["handler"]
    except Exception:  # zipfile raises of every kind for what a stranger has made
        return False
    return str(handler).split(":")[0].removesuffix(".py") in LENS_HANDLERS
