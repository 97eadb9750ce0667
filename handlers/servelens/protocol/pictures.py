"""Pictures that travel as text: in base64, or as a data URL.

What the bytes are is for the engine to find out; here it only matters that they are bytes.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field

from servelens.protocol.problem import problem

# The head of a data URL, as far as the comma; media types are short.
DATA_URL = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)


@dataclass(frozen=True)
class Drawing:
    """A file that came with the photo, as large as it, and the key that it came under."""

    data: bytes = field(repr=False)
    where: str = field(compare=False)


def picture_of_text(text: str, where: str) -> bytes:
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
