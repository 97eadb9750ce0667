"""Photos as callers send them, and requests that cannot be answered."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
from PIL import Image

from worker_fixtures.front_end import Call, Part, as_json, form, raw


def png(seed: int = 0, size: tuple[int, int] = (48, 40)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def mask(size: tuple[int, int] = (48, 40)) -> bytes:
    """The left half is marked."""
    image = Image.new("L", size, 0)
    image.paste(255, (0, 0, size[0] // 2, size[1]))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def as_base64(photo: bytes) -> str:
    return base64.b64encode(photo).decode()


def with_mask(photo: bytes, mask: bytes, **keys: str) -> Call:
    """A form whose mask is a file part."""
    call = form(photo, **keys)
    return replace(call, parts=[*call.parts, Part("mask", mask, "image/png")])


PHOTO = png()
PHOTO64 = as_base64(PHOTO)

# Each with the type of problem that it must bring, to its own row alone.
BAD_CALLS: dict[str, tuple[Call, str]] = {
    "no field": (form(), "no_image"),
    "empty body": (raw(b""), "no_image"),
    "no picture": (raw(b"\xff\xd8\xff but no more"), "bad_image"),
    "a picture's first half": (raw(PHOTO[: len(PHOTO) // 2]), "bad_image"),
    "broken json": (raw(b'{"image": ', "application/json"), "bad_json"),
    "deep json": (raw(b"[" * 100_000, "application/json"), "bad_json"),
    "a json list": (as_json([1]), "bad_json"),
    "broken base64": (as_json({"image": PHOTO64[:-1]}), "bad_image"),
    "misspelt key": (form(PHOTO, explian="true"), "unknown_key"),
    "wrong type": (form(PHOTO, top_k="many"), "bad_value"),
    "too many classes": (form(PHOTO, top_k="100000"), "bad_value"),
    "unknown method": (form(PHOTO, explain="gradcam"), "unknown_method"),
    "unknown layer": (form(PHOTO, activations="layer99"), "unknown_layer"),
    "unknown class": (form(PHOTO, explain="true", target="dragon"), "unknown_class"),
    "no time": (form(PHOTO, explain="true", budget_ms="0"), "over_budget"),
    "bad stream": (form(PHOTO, explain="gradcam", stream="true"), "unknown_method"),
    "no mask": (form(PHOTO, mask="left"), "bad_image"),
    "half a mask": (as_json({"image": PHOTO64, "mask": as_base64(mask()[:60])}), "bad_image"),
    "a mask of another size": (with_mask(PHOTO, mask((40, 48))), "bad_value"),
    "npz stream": (form(PHOTO, stream="true", format="npz"), "bad_value"),
}
