"""From the bytes of a file to a picture; whatever the bytes are, nothing else comes of them."""

from __future__ import annotations

import io
from typing import Callable, Tuple

import numpy as np
from PIL import ExifTags, Image

from servelens.protocol import ProblemError, problem

# Pillow opens some forty formats, interpreters among them; these are pictures and nothing else.
# Asking for one that this Pillow was built without is an error of its own, hence the filter.
Image.init()
FORMATS = tuple(f for f in ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF") if f in Image.OPEN)
# A file of a few bytes may claim a line of fifty million pixels, over which Pillow spends seconds
# and gigabytes. JPEG knows no longer side.
LONGEST_SIDE = 65_535
UPRIGHT = 1
# What turns a photo upright, by EXIF's orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(
    data: bytes,
    read: Callable[[Image.Image], Image.Image],
    max_pixels: int,
    where: str = "image",
    formats: Tuple[str, ...] = FORMATS,
) -> Image.Image:
    """What `read` makes of the file; it is handed the open file, whose pixels are not decoded."""
    try:
        picture = Image.open(io.BytesIO(data), formats=formats)
        if max(picture.size) > LONGEST_SIDE:
            raise _too_long(max(picture.size), where)
        if picture.width * picture.height <= max_pixels:
            return read(picture)
    except Image.DecompressionBombError:
        raise _too_many_pixels(max_pixels, where) from None
    except ProblemError:
        raise
    except Exception as error:  # a hostile file can raise anything at all from a decoder
        raise bad_image(type(error).__name__, where, formats) from error
    raise _too_many_pixels(max_pixels, where)


def bad_image(
    reason: str, where: str = "image", formats: Tuple[str, ...] = FORMATS
) -> ProblemError:
    hint = "send a whole file of one of " if len(formats) > 1 else "send a whole file, a "
    return problem(
        "bad_image",
        f"the {where} cannot be decoded ({reason})",
        hint=hint + ", ".join(formats),
        where=where,
    )


def upright(photo: Image.Image) -> Image.Image:
    """Pillow's own way also writes the EXIF block anew, and fails on a damaged one."""
    orientation = orientation_of(photo)
    return photo if orientation == UPRIGHT else photo.transpose(TURNS[orientation])


def orientation_of(photo: Image.Image) -> int:
    """As EXIF numbers them, 1 to 8."""
    try:
        orientation = photo.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # the block is damaged; the photo need not be
        return UPRIGHT
    return orientation if orientation in TURNS else UPRIGHT


def in_mode(photo: Image.Image, mode: str) -> Image.Image:
    """Sixteen bits are scaled to eight: Pillow's own conversion would clip nearly all to white."""
    if photo.mode.startswith("I"):
        levels = np.asarray(photo)
        if levels.min() < 0 or levels.max() > 0xFFFF:
            raise bad_image("its grey levels are not of sixteen bits")
        photo = Image.fromarray((levels >> 8).astype(np.uint8))
    # A model sees no transparency, and Pillow warns about it in a palette.
    photo.info.pop("transparency", None)
    return photo if photo.mode == mode else photo.convert(mode)


def _too_long(side: int, where: str) -> ProblemError:
    return problem(
        "too_many_pixels",
        f"a side of the {where} has {side:,} pixels, more than {LONGEST_SIDE:,}",
        hint="send the part of it that the model is to see",
        where=where,
    )


def _too_many_pixels(max_pixels: int, where: str) -> ProblemError:
    return problem(
        "too_many_pixels",
        f"the {where} has more than {max_pixels:,} pixels",
        hint="scale it down before sending it; the model sees far fewer",
        where=where,
    )
