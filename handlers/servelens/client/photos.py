"""Photos as a caller has them: bytes, a file, a Pillow image or an array; sent as bytes."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from servelens.client.errors import BadPhoto
from servelens.protocol import shorten

if TYPE_CHECKING:
    from PIL import Image

Photo = Union[bytes, str, "os.PathLike[str]", "Image.Image", "np.ndarray[Any, Any]"]
# What the server takes too; Pillow opens forty formats, some of which start other programs.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def photo_bytes(photo: Photo) -> bytes:
    """What is sent: a file as it is, an image or an array of bytes as PNG."""
    if isinstance(photo, bytes):
        return photo
    if isinstance(photo, (str, os.PathLike)):
        return _read(Path(photo))
    from PIL import Image

    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim not in (2, 3):
            raise BadPhoto(
                f"a photo must be an array of bytes, [height, width] or [height, width, 3], not "
                f"{photo.dtype} of shape {photo.shape}"
            )
        photo = Image.fromarray(photo)
    if not isinstance(photo, Image.Image):
        raise BadPhoto(
            f"a photo must be bytes, a path, a Pillow image or an array, not {shorten(photo)}"
        )
    file = io.BytesIO()
    photo.save(file, "PNG")
    return file.getvalue()


def shown(photo: bytes) -> Image.Image | None:
    """The photo as a person sees it, in RGB; None where this machine cannot open it."""
    from PIL import Image, ImageOps

    Image.init()
    here = [name for name in FORMATS if name in Image.OPEN]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(photo), formats=here) as opened:
                return ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Warning):
        return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadPhoto(f"the photo {path} cannot be read: {reason}") from error
