"""The preflight's inner half: stands where the worker will stand, with only its folder on the path.

    python -P preflight_child.py FOLDER REPORT

Imports nothing of the builder, for the worker will not have it either.
"""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import yaml

CONFIG_FILE = "model-config.yaml"
PHOTO_HEIGHT, PHOTO_WIDTH = 240, 320


class Grounded(Exception):
    """What the worker would meet, as one sentence."""


class Clock:
    """Milliseconds between one lap and the next."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round((now - self._last) * 1000, 1)
        self._last = now


def main(folder: Path, report: Path) -> int:
    try:
        said: dict[str, Any] = {"result": fly(folder)}
    except Exception as error:  # Whatever it is, the worker would have met it.
        said = {"problem": sentence(error)}
    report.write_text(json.dumps(said), encoding="utf-8")
    return 0 if "result" in said else 1


def fly(folder: Path) -> dict[str, Any]:
    from servelens.engine.budget import Limits
    from servelens.engine.folder.card import CAPABILITY_FILE, Card
    from servelens.engine.session import Session
    from servelens.protocol import Request

    clock = Clock()
    serve = yaml.safe_load((folder / CONFIG_FILE).read_text(encoding="utf-8"))["servelens"]
    limits = {name: serve[name] for name in ("response_bytes", "response_timeout_s")}
    try:
        session = Session.load(folder, limits=Limits(**limits))
    except RuntimeError as error:  # as PyTorch says that shapes do not go together
        raise Grounded(f"{sentence(error)}; {what_goes_in(Card.load(folder))}") from error
    clock.lap("load")
    capability = session.describe()
    photo = synthetic_photo()
    answer(session, Request(image=photo))
    clock.lap("predict")
    explained = answer(session, Request(image=photo, explain=None))
    clock.lap("explain")
    text = json.dumps(capability, indent=1, ensure_ascii=False, sort_keys=True, allow_nan=False)
    (folder / CAPABILITY_FILE).write_text(text + "\n", encoding="utf-8")
    return {
        "layers": len(capability["layers"]),
        "default_layer": capability["default_layer"],
        "classes": capability["output"]["classes"],
        "parameters": capability["model"]["parameters"],
        "ms": clock.laps,
        "warnings": [
            *capability["warnings"],
            *(
                f"the default plan's {attribution.method}: {attribution.problem.message}"
                for attribution in explained.attributions
                if attribution.problem is not None
            ),
        ],
    }


def answer(session: Any, request: Any) -> Any:
    from servelens.protocol import Problem

    [result] = session.run([request])
    if isinstance(result, Problem):
        raise Grounded(result.words)
    return result


def what_goes_in(card: Any) -> str:
    height, width = card.input.size
    return f"by [input] the model is given {card.input.channels} x {height} x {width} pixels"


def synthetic_photo() -> bytes:
    """Slopes of three colours: any size, crop or number of channels can be cut from it."""
    import numpy as np
    from PIL import Image

    rows, columns = np.mgrid[0:PHOTO_HEIGHT, 0:PHOTO_WIDTH]
    red, green = 255 * rows // PHOTO_HEIGHT, 255 * columns // PHOTO_WIDTH
    pixels = np.stack([red, green, (red + green) // 2], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def sentence(error: Exception) -> str:
    """Our own errors are sentences already; of another the type says what the words may not."""
    ours = isinstance(error, Grounded) or type(error).__module__.startswith("servelens.")
    return str(error) if ours else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
