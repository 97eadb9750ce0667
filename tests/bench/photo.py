"""A photo of a usual size, the same each time: what it shows does not matter to the clock."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image, ImageFilter


@functools.cache
def photo(width: int = 640, height: int = 480, seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).filter(ImageFilter.GaussianBlur(6)).save(file, "JPEG", quality=85)
    return file.getvalue()
