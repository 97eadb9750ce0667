"""Maps as pictures: pure functions from numbers to Pillow images."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from servelens.client.colours import Scale
from servelens.palettes import palette

Numbers = NDArray[Any]
Size = tuple[int, int]

# Where the evidence is strongest, this much of the colour and the rest of the photo.
STRONGEST = 0.8
# Little larger than at the highest level, in half the time.
LEVEL = 3
LINE = 14
GAP = 8


def heat(plane: Numbers, scale: Scale, size: Size | None = None) -> Image.Image:
    """A palette picture, so that its colours can be swapped later; each number one square."""
    picture = Image.fromarray(scale.levels(plane))
    picture.putpalette(palette(signed=scale.signed).tobytes())
    return picture if size is None else picture.resize(size, Image.Resampling.NEAREST)


def overlay(photo: Image.Image, plane: Numbers, scale: Scale) -> Image.Image:
    """The photo in grey under the map: the nearer to zero a number is, the more is seen of it."""
    fine = smooth(plane, photo.size)
    sizes = np.abs(fine) / scale.end if scale.end else np.zeros_like(fine)
    weights = STRONGEST * np.clip(sizes, 0, 1)[..., None]
    colours = palette(signed=scale.signed)[scale.levels(fine)]
    grey = np.asarray(photo.convert("L"))[..., None]
    mixed = weights * colours + (1 - weights) * grey
    return Image.fromarray(mixed.round().astype(np.uint8))


def smooth(plane: Numbers, size: Size) -> Numbers:
    """The map at another size (width, height), its numbers evenly from one to the next."""
    whole = Image.fromarray(plane.astype(np.float32))
    return np.asarray(whole.resize(size, Image.Resampling.BILINEAR))


def seen(photo: Image.Image, crop: Sequence[int], longest: int) -> Image.Image:
    """What the model saw of the photo, its longer side so long."""
    left, top, right, bottom = crop
    width, height = max(1, right - left), max(1, bottom - top)
    zoom = longest / max(width, height)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    return photo.resize(size, Image.Resampling.LANCZOS, box=_within(photo, crop), reducing_gap=2.0)


def atlas(maps: Numbers, scale: Scale, side: int) -> Image.Image:
    """All channels of [C, H, W] in one picture, row by row, on one scale and with white between."""
    count, height, width = maps.shape
    zoom = max(1, side // max(height, width, 1))
    large = scale.levels(maps).repeat(zoom, axis=1).repeat(zoom, axis=2)
    columns = max(1, math.ceil(math.sqrt(count)))
    return Image.fromarray(tiled(palette(signed=scale.signed)[large], columns, (1, 1), 255))


def tiled(cells: Numbers, columns: int, gap: Size, blank: int) -> Numbers:
    """[C, h, w, ...] as one array, row by row; `gap` (right, below) and what is over are blank."""
    count, height, width, *rest = cells.shape
    rows = max(1, math.ceil(count / columns))
    pitch = height + gap[1], width + gap[0]
    padded = np.full((rows * columns, *pitch, *rest), blank, cells.dtype)
    padded[:count, :height, :width] = cells
    grid = padded.reshape(rows, columns, *pitch, *rest).swapaxes(1, 2)
    return grid.reshape(rows * pitch[0], columns * pitch[1], *rest)


def sheet(tiles: Sequence[tuple[Image.Image, str]], columns: int = 4) -> Image.Image:
    """Pictures with a caption under each, on white."""
    font = ImageFont.load_default(size=11)
    width = max(picture.width for picture, _ in tiles) + GAP
    height = max(picture.height for picture, _ in tiles) + 3 * LINE + GAP
    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    whole = Image.new("RGB", (columns * width + GAP, rows * height + GAP), "white")
    draw = ImageDraw.Draw(whole)
    for number, (picture, caption) in enumerate(tiles):
        left, top = GAP + number % columns * width, GAP + number // columns * height
        whole.paste(picture.convert("RGB"), (left, top))
        for line, text in enumerate(caption.splitlines()[:3]):
            place = left, top + picture.height + 2 + line * LINE
            draw.text(place, _fitted(text, font, width - GAP), "black", font)
    return whole


def data_url(picture: Image.Image) -> str:
    """The picture itself as an address, so that a page needs no other file."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=LEVEL)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _within(photo: Image.Image, crop: Sequence[int]) -> tuple[int, int, int, int]:
    """Pillow resizes only from boxes that lie in the photo."""
    left, top, right, bottom = crop
    left, top = min(max(0, left), photo.width - 1), min(max(0, top), photo.height - 1)
    right, bottom = max(left + 1, min(right, photo.width)), max(top + 1, min(bottom, photo.height))
    return left, top, right, bottom


def _fitted(text: str, font: Any, width: int) -> str:
    while text and font.getlength(text) > width:
        text = text[:-2] + "…" if len(text) > 2 else ""
    return text
