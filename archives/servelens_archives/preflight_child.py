"""The preflight's inner half: stands where the worker will stand, with only its folder on the path.

    python -P preflight_child.py FOLDER REPORT            flies
    python -P preflight_child.py FOLDER REPORT ASKED      weighs the methods that ASKED names

Imports nothing of the builder, for the worker will not have it either.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

CONFIG_FILE = "model-config.yaml"
PHOTO_HEIGHT, PHOTO_WIDTH = 240, 320
# No answer leaves this process, and what is spent depends on no clock.
NO_BYTES_TOO_MANY, NO_TIME_TOO_LONG_S = 2**62, 1e9
MOST_TOLD = 5
# Beside the report: a line for each step, which the builder reads as it grows.
PROGRESS = ".progress"


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


def main(folder: Path, report: Path, asked: Path | None = None) -> int:
    try:
        found = fly(folder) if asked is None else weigh(folder, asked, report.with_suffix(PROGRESS))
        said: dict[str, Any] = {"result": found}
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


def weigh(folder: Path, asked: Path, progress: Path) -> dict[str, list[dict[str, float]]]:
    """For each method the numbers of its trust card on each photo, as any caller would get them."""
    from servelens.engine.budget import Limits
    from servelens.engine.session import Session

    question = json.loads(asked.read_text(encoding="utf-8"))
    methods, examples = question["methods"], question["examples"]
    limits = Limits(response_bytes=NO_BYTES_TOO_MANY, response_timeout_s=NO_TIME_TOO_LONG_S)
    session = Session.load(folder, limits=limits)
    check_all(session, examples)
    cards: dict[str, list[dict[str, float]]] = {method: [] for method in methods}
    for number, example in enumerate(examples, 1):
        with open(progress, "a", encoding="utf-8") as file:
            file.write(f"weighing {len(methods)} methods on photo {number} of {len(examples)}\n")
        explained = answer(session, request_for(example, explain=methods, trust=True))
        for attribution in explained.attributions:
            cards[attribution.method].append(numbers_of(attribution.trust))
    return cards


def check_all(session: Any, examples: Sequence[Mapping[str, str | None]]) -> None:
    """Before minutes are spent; what is wrong is told of all photos at once."""
    wrong = []
    for example in examples:
        try:
            answer(session, request_for(example))
        except (Grounded, OSError) as error:
            wrong.append(f"{example['name']}: {sentence(error)}")
    if wrong:
        more = f"; and {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""
        raise Grounded(
            f"{len(wrong)} of the photos cannot be used; take them out or mend them: "
            f"{'; '.join(wrong[:MOST_TOLD])}{more}"
        )


def request_for(example: Mapping[str, str | None], **keys: Any) -> Any:
    from servelens.protocol import read_request

    photo, mask = example["photo"], example["mask"]
    assert photo is not None
    if mask is not None:
        keys["mask"] = base64.b64encode(Path(mask).read_bytes()).decode("ascii")
    return read_request(keys, Path(photo).read_bytes())


def numbers_of(card: Any) -> dict[str, float]:
    """Of a map that could not be made there are none."""
    found = {} if card is None else vars(card)
    return {name: value for name, value in found.items() if isinstance(value, float)}


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
    sys.exit(main(*map(Path, sys.argv[1:])))
