"""The photo of a row, which may be a file's bytes, base64, a data URL or KServe's `{"b64": "..."}`.

What the bytes are is for the engine to find out; here it only matters that they are bytes.
"""

from __future__ import annotations

from typing import Any, Optional, Union

from servelens.protocol import picture_of_text, problem, shorten

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
        is_url = value[:5].lower() == b"data:"
        image = picture_of_text(value.decode("latin-1"), where) if is_url else value
    elif isinstance(value, str):
        image = picture_of_text(value, where)
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
