"""Photos as callers send them: bytes of a file."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def noise(width: int = 50, height: int = 40, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Every pixel drawn at random, so that no two places can be taken for each other."""
    bands = len(Image.new(mode, (1, 1)).tobytes())
    pixels = np.random.default_rng(seed).integers(0, 256, width * height * bands, dtype=np.uint8)
    return Image.frombytes(mode, (width, height), pixels.tobytes())


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def photo(seed: int = 0, **size: Any) -> bytes:
    """A PNG file."""
    return encode(noise(seed=seed, **size))


def patches(width: int = 50, height: int = 40, count: int = 9, seed: int = 0) -> Image.Image:
    """A drawing of segments: each pixel has the number of the nearest of some places."""
    rng = np.random.default_rng(seed)
    places = rng.random((count, 2)) * (height, width)
    rows, columns = np.mgrid[:height, :width] + 0.5
    far = (rows[..., None] - places[:, 0]) ** 2 + (columns[..., None] - places[:, 1]) ** 2
    return Image.fromarray(far.argmin(-1).astype(np.uint8))


def plain(level: int) -> bytes:
    """A PNG file of one grey."""
    return encode(Image.new("RGB", (50, 40), (level,) * 3))


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a picture of this size and has no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
