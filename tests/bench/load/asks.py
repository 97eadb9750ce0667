"""What the crowd asks, and how each answer is known to be the right one.

What is right is told by the engine in this process, on the same weights, and by the protocol for
what is to be refused. Bodies are made once, so that clients spend their time waiting.
"""

from __future__ import annotations

import base64
import io
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import requests
from PIL import Image
from tests.bench.in_process import ask as ask_engine
from tests.bench.photo import photo

from servelens.client.messages import IMAGE_TYPE, address, form
from servelens.codec import JSON_TYPE, NPZ_TYPE, read_json, read_npz
from servelens.engine.session import Session

PREDICTION, EXPLANATION, BAD = "prediction", "explanation", "bad request"
PHOTOS = 4
SHARES = {PREDICTION: 70, EXPLANATION: 20, BAD: 10}
EXPLAINED: tuple[dict[str, Any], ...] = (
    {"explain": "grad_cam"},
    {"explain": ["grad_cam", "saliency"], "target": "top:3"},
    {"explain": "grad_cam", "activations": {"layers": ["layer4"], "channels": 16}, "format": "npz"},
    {"explain": {"method": "integrated_gradients", "steps": 4}},
)


@dataclass(frozen=True)
class Answer:
    status: int
    type: str
    body: bytes


# None, or what is wrong with an answer, in a few words.
Check = Callable[[Answer], str | None]


@dataclass(frozen=True)
class Ask:
    kind: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    check: Check


def predictions(session: Session, model: str) -> list[Ask]:
    door = address("predictions", model)
    return [
        _ask(PREDICTION, door, class_is(label), data=image, headers=IMAGE_TYPE)
        for image, label in _photos(session)
    ]


def explanations(
    session: Session, model: str, keys: Sequence[Mapping[str, Any]] = EXPLAINED
) -> list[Ask]:
    door = address("explanations", model)
    return [
        _ask(EXPLANATION, door, explains(label, shapes_of(session, image, one)), **form(image, one))
        for image, label in _photos(session)
        for one in keys
    ]


def bad_requests(model: str) -> list[Ask]:
    door, image = address("predictions", model), photo()
    asked = {"image": base64.b64encode(image).decode(), "explain": True}
    no_number = json.dumps({**asked, "budget_ms": math.nan}).encode()
    posts: list[tuple[Check, dict[str, Any]]] = [
        (refuses(400, "bad_image"), {"data": image[:5000], "headers": IMAGE_TYPE}),
        (refuses(400, "bad_image"), {"data": b"no photo at all", "headers": IMAGE_TYPE}),
        (refuses(400, "no_image"), form(None, {"explain": True})),
        (refuses(400, "unknown_method"), form(image, {"explain": "no_such_method"})),
        (refuses(400, "unknown_layer"), form(image, {"activations": "no_such_layer"})),
        (refuses(400, "bad_value"), {"data": no_number, "headers": {"Content-Type": JSON_TYPE}}),
        (refuses(413, "too_many_pixels"), {"data": _bomb(), "headers": IMAGE_TYPE}),
    ]
    return [_ask(BAD, door, check, **how) for check, how in posts]


def mixed(asks: Mapping[str, Sequence[Ask]], seed: int) -> Iterator[Ask]:
    """Without end, and the same for the same seed."""
    dice = random.Random(seed)
    kinds = [kind for kind in SHARES if asks.get(kind)]
    weights = [SHARES[kind] for kind in kinds]
    while True:
        (kind,) = dice.choices(kinds, weights)
        yield dice.choice(asks[kind])


def class_is(label: str) -> Check:
    def check(answer: Answer) -> str | None:
        if answer.status != 200:
            return _status(answer)
        found = read_json(answer.body)
        return None if max(found, key=found.get) == label else "another class"

    return check


def explains(label: str, shapes: Sequence[tuple[int, ...]]) -> Check:
    """A document of this prediction, whose maps have these shapes and show something."""

    def check(answer: Answer) -> str | None:
        if answer.status != 200:
            return _status(answer)
        read = read_npz if answer.type == NPZ_TYPE else read_json
        document = read(answer.body)
        if document["predictions"][0]["label"] != label:
            return "another class"
        maps = [found["map"] for found in document["attributions"]]
        if [getattr(found, "shape", None) for found in maps] != list(shapes):
            return "maps of other shapes"
        lively = all(np.isfinite(found).all() and np.abs(found).max() > 0 for found in maps)
        return None if lively else "a map that shows nothing"

    return check


def refuses(status: int, problem: str) -> Check:
    def check(answer: Answer) -> str | None:
        if answer.status != status:
            return _status(answer)
        found = read_json(answer.body)["type"]
        return None if found == problem else f"{status} {found}"

    return check


def shapes_of(session: Session, image: bytes, keys: Mapping[str, Any]) -> list[tuple[int, ...]]:
    document = ask_engine(session, image, **{**keys, "format": "json"})
    return [found.map.shape for found in document.attributions]


def _status(answer: Answer) -> str:
    return f"{answer.status} {answer.body[:80].decode(errors='replace')}"


def _photos(session: Session) -> list[tuple[bytes, str]]:
    """Each with its class."""
    images = [photo(seed=seed) for seed in range(PHOTOS)]
    return [(image, ask_engine(session, image).predictions[0].label) for image in images]


def _ask(kind: str, path: str, check: Check, **how: Any) -> Ask:
    prepared = requests.Request("POST", f"http://host{path}", **how).prepare()
    assert isinstance(prepared.body, bytes)
    return Ask(kind, path, dict(prepared.headers), prepared.body, check)


def _bomb() -> bytes:
    """A hundred million pixels in some kilobytes."""
    file = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(file, "PNG")
    return file.getvalue()
