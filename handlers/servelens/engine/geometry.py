"""From the bytes of a photo to the model's input, remembering where in the photo it looked.

The pixels are those of torchvision's Resize, CenterCrop and ToTensor, which the stock handler
uses, without what they compute outside the crop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Sequence, Tuple

import numpy as np
import torch
from PIL import Image

from servelens.engine.decoding import decode, in_mode, upright
from servelens.engine.folder.card import InputSpec
from servelens.protocol import InputRef

LONGEST_BACKDROP = 512
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class View:
    """What the model sees of one photo: its pixels, and where they come from, if that is known. The
    backdrop is that part of the photo for people to look at."""

    # [height, width, channels]; levels in uint8, or the prepared input in float32.
    pixels: np.ndarray
    ref: Optional[InputRef]
    backdrop: Optional[np.ndarray] = None  # uint8 [height, width, 3]


NO_PHOTO = View(np.zeros((0, 0, 0), np.uint8), None)


@dataclass(frozen=True)
class Placement:
    """The photo is scaled to `scaled`, and `box` is cut from that; both as (width, height) pixels.

    Scaling first and cutting afterwards is torchvision's order. Pillow can do both at once, but
    then rounds a quarter of the pixels to another level.
    """

    scaled: Tuple[int, int]
    box: Tuple[int, int, int, int]

    def part(self, width: int, height: int) -> Tuple[float, float, float, float]:
        """The box in the photo, to fractions of its pixels."""
        per_x, per_y = width / self.scaled[0], height / self.scaled[1]
        left, top, right, bottom = self.box
        return left * per_x, top * per_y, right * per_x, bottom * per_y

    def in_photo(self, width: int, height: int) -> Tuple[int, int, int, int]:
        """The box in whole pixels of the photo, one at least, however little of it is seen."""
        left, top, right, bottom = (round(edge) for edge in self.part(width, height))
        left, top = min(left, width - 1), min(top, height - 1)
        return left, top, max(right, left + 1), max(bottom, top + 1)


def view_photo(data: bytes, spec: InputSpec, max_pixels: int, *, backdrop: bool = False) -> View:
    def as_shown(photo: Image.Image) -> Image.Image:
        """In the colours that the model takes."""
        photo.load()
        shown = upright(photo) if spec.exif else photo
        return in_mode(shown, "L" if spec.channels == 1 else "RGB")

    photo = decode(data, as_shown, max_pixels)
    placement = place(photo.width, photo.height, spec)
    seen = cut(photo, placement, FILTERS[spec.interpolation], max_pixels)
    pixels = np.asarray(seen, dtype=np.uint8).reshape(*spec.size, spec.channels)
    crop = placement.in_photo(photo.width, photo.height)
    ref = InputRef(photo.width, photo.height, crop, spec.size)
    return View(pixels, ref, backdrop_of(photo, crop) if backdrop else None)


def place(width: int, height: int, spec: InputSpec) -> Placement:
    """Which part of a photo of this size the model sees."""
    crop_height, crop_width = spec.size
    if spec.crop == "none":
        return Placement((crop_width, crop_height), (0, 0, crop_width, crop_height))
    scaled_width, scaled_height = _scaled(width, height, spec)
    top = round((scaled_height - crop_height) / 2.0)
    left = round((scaled_width - crop_width) / 2.0)
    return Placement(
        (scaled_width, scaled_height), (left, top, left + crop_width, top + crop_height)
    )


def to_input(views: Sequence[View], spec: InputSpec, device: torch.device) -> torch.Tensor:
    """Normalised [N, C, H, W], channels-last; bytes travel to the device, floats are made there."""
    stacked = np.stack([view.pixels for view in views])
    batch = torch.from_numpy(stacked).to(device).permute(0, 3, 1, 2)
    if batch.is_floating_point():
        return batch
    batch = batch.float().div_(255)
    shape = (1, spec.channels, 1, 1)
    mean = torch.tensor(spec.mean, device=device).view(shape)
    std = torch.tensor(spec.std, device=device).view(shape)
    return batch.sub_(mean).div_(std)


def with_noise(view: View, levels: np.ndarray, spec: InputSpec) -> View:
    """The photo again with so many of its 255 levels added; levels stay whole, and within 0 to 255,
    where they are known."""
    if view.pixels.dtype == np.uint8:
        noisy = (view.pixels + levels).round().clip(0, 255).astype(np.uint8)
    else:
        noisy = (view.pixels + levels / 255 / np.array(spec.std)).astype(np.float32)
    return replace(view, pixels=noisy)


def backdrop_of(photo: Image.Image, crop: Tuple[int, int, int, int]) -> np.ndarray:
    width, height = crop[2] - crop[0], crop[3] - crop[1]
    shrink = min(1.0, LONGEST_BACKDROP / max(width, height))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    return np.asarray(photo.resize(size, Image.Resampling.BILINEAR, box=crop).convert("RGB"))


def _scaled(width: int, height: int, spec: InputSpec) -> Tuple[int, int]:
    """The scaled photo that the crop is cut from; always large enough to fill the crop."""
    crop_height, crop_width = spec.size
    if not spec.resize:
        scaled_width, scaled_height = width, height
    elif width <= height:
        scaled_width, scaled_height = spec.resize, int(spec.resize * height / width)
    else:
        scaled_width, scaled_height = int(spec.resize * width / height), spec.resize
    grow = max(1.0, crop_width / scaled_width, crop_height / scaled_height)
    return (
        max(crop_width, round(scaled_width * grow)),
        max(crop_height, round(scaled_height * grow)),
    )


def look(
    picture: Image.Image,
    photo: InputRef,
    spec: InputSpec,
    method: Image.Resampling,
    max_pixels: int,
) -> Image.Image:
    """What the model sees of a picture that is as large as its photo."""
    if spec.prepared:
        return picture.resize((photo.size[1], photo.size[0]), method, box=photo.crop)
    return cut(picture, place(photo.width, photo.height, spec), method, max_pixels)


def cut(
    photo: Image.Image, placement: Placement, method: Image.Resampling, max_pixels: int
) -> Image.Image:
    scaled_width, scaled_height = placement.scaled
    left, top, right, bottom = placement.box
    if scaled_width * scaled_height > max_pixels:
        # A photo as thin as a thread, whose shorter side alone decides how large it becomes.
        part = placement.part(photo.width, photo.height)
        return photo.resize((right - left, bottom - top), method, box=part)
    if placement.scaled != photo.size:
        photo = photo.resize(placement.scaled, method)
    return photo if placement.box == (0, 0, *photo.size) else photo.crop(placement.box)
