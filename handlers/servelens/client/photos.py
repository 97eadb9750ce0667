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
        photo = _image_of(photo)
    if not isinstance(photo, Image.Image):
        raise BadPhoto(
            f"a photo must be bytes, a path, a Pillow image or an array, not {shorten(photo)}"
        )
    file = io.BytesIO()
    try:
        photo.save(file, "PNG")
    except (OSError, ValueError) as error:
        raise BadPhoto(f"a Pillow image of mode {photo.mode} cannot be sent: {error}") from error
    return file.getvalue()


def _image_of(array: np.ndarray[Any, Any]) -> Image.Image:
    from PIL import Image

    grey_or_colours = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not grey_or_colours or not array.size:
        raise BadPhoto(
            f"a photo must be an array of bytes, [height, width] or [height, width, 3], not "
            f"{array.dtype} of shape {array.shape}"
        )
    return Image.fromarray(array)


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
