"""What callers draw over their photo, brought to where the model sees it.

A drawing is a PNG as large as the photo as it is shown. It goes through the photo's own scaling and
crop, by nearest neighbour: between two values that name things lies no third one.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from servelens.engine.decoding import decode
from servelens.engine.folder.card import InputSpec
from servelens.engine.geometry import look
from servelens.engine.kit import Segments
from servelens.protocol import Drawing, InputRef, problem

NEAREST = Image.Resampling.NEAREST
# As many as the finest grid has cells.
MOST_SEGMENTS = 1024


def see_mask(drawing: Drawing, photo: InputRef, spec: InputSpec, max_pixels: int) -> np.ndarray:
    """Bool [H, W] at the model's input size: what is neither black nor transparent."""
    return see_values(drawing, photo, spec, max_pixels) != 0


def see_segments(drawing: Drawing, photo: InputRef, spec: InputSpec, max_pixels: int) -> Segments:
    """Each value one segment; of those outside of what the model sees nothing is left."""
    values = see_values(drawing, photo, spec, max_pixels)
    found, of = np.unique(values, return_inverse=True)
    if not 2 <= len(found) <= MOST_SEGMENTS:
        raise problem(
            "bad_value",
            f"{drawing.where} has {len(found)} segments where the model looks, "
            f"not 2 to {MOST_SEGMENTS}",
            hint="give all pixels of a segment exactly one level or colour, and no other pixel it",
            where=drawing.where,
        )
    return Segments(drawing, len(found), of.reshape(values.shape))


def see_values(drawing: Drawing, photo: InputRef, spec: InputSpec, max_pixels: int) -> np.ndarray:
    """Integers [H, W] at the model's input size: levels of a grey drawing, of one in colours 24
    bits of red, green and blue; 0 where nothing is drawn."""

    def whole(picture: Image.Image) -> Image.Image:
        if picture.size != (photo.width, photo.height):
            raise problem(
                "bad_value",
                f"{drawing.where} is {picture.width} × {picture.height} pixels, "
                f"the photo is {photo.width} × {photo.height}",
                hint="draw it over the photo as it is shown, turned as its EXIF block says",
                where=drawing.where,
            )
        picture.load()
        return picture

    picture = decode(drawing.data, whole, max_pixels, drawing.where, formats=("PNG",))
    return _values(look(picture, photo, spec, NEAREST, max_pixels))


def _values(picture: Image.Image) -> np.ndarray:
    if picture.mode in ("1", "L") or picture.mode.startswith("I"):
        return np.asarray(picture).astype(np.int32)
    red, green, blue, alpha = np.moveaxis(np.asarray(picture.convert("RGBA"), np.int32), 2, 0)
    values: np.ndarray = np.where(alpha == 0, 0, (red << 16) + (green << 8) + blue)
    return values
