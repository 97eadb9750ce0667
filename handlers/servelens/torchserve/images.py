"""Images that travel as text: base64, a data URL, or KServe's `{"b64": "..."}`.

What the bytes are is for the engine to find out; here it only matters that they are bytes.
"""

from __future__ import annotations

import base64
import re
from typing import Any, Optional, Union

from servelens.protocol import problem, shorten

# The head of a data URL, as far as the comma; media types are short.
DATA_URL = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)
STARTS_OF_IMAGES = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"GIF8",
    b"BM",
    b"RIFF",
    b"II*\0",
    b"MM\0*",
)
HOW_TO_SEND = (
    "send it as the body (curl -T photo.jpg URL), as a form's file part "
    "(curl -F data=@photo.jpg URL), or as base64 under the key 'image' of a JSON body with its "
    "Content-Type; curl's -d and --data-binary alone do not arrive, for their type is urlencoded"
)


def read_image(value: Any, where: str) -> Optional[bytes]:
    """The bytes of an image in any of its forms; None where there is none."""
    if isinstance(value, dict) and value.keys() == {"b64"}:
        return read_image(value["b64"], f"{where}.b64")
    if isinstance(value, (bytes, bytearray)):
        image = _of_text(value.decode("latin-1"), where) if value[:5].lower() == b"data:" else value
    elif isinstance(value, str):
        image = _of_text(value, where)
    elif value is None:
        return None
    else:
        raise problem(
            "bad_image",
            f"{where} must be an image in base64 or as a data URL, not {shorten(value)}",
            where=where,
        )
    return bytes(image) or None


def looks_like_image(body: Union[bytes, bytearray]) -> bool:
    return bytes(body[:4]).startswith(STARTS_OF_IMAGES)


def _of_text(text: str, where: str) -> bytes:
    head = DATA_URL.match(text)
    if head is None:
        return _of_base64(text, where)
    if not head[1].lower().endswith(";base64"):
        raise problem("bad_image", f"{where} is a data URL, but not one in base64", where=where)
    return _of_base64(text[head.end() :], where)


def _of_base64(text: str, where: str) -> bytes:
    """Line breaks are let pass, for `base64` writes them; anything else foreign is an error."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise problem(
            "bad_image",
            f"{where} is not valid base64: {error}",
            hint="use the standard alphabet (+ and /) with its padding (=)",
            where=where,
        ) from None
