"""Pictures as callers send them, the odd ones too."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np
from PIL import Image


def saved(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def scene(seed: int = 0, width: int = 320, height: int = 280) -> Image.Image:
    """Soft coloured spots: unlike noise they survive being scaled down, and tell photos apart."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def photo(seed: int = 0) -> bytes:
    return saved(scene(seed))


def halves(width: int = 320, height: int = 280) -> bytes:
    """A drawing over a photo of that size: its left half is marked."""
    image = Image.new("L", (width, height), 0)
    image.paste(255, (0, 0, width // 2, height))
    return saved(image)


def plain(colour: str) -> bytes:
    return saved(Image.new("RGB", (40, 40), colour))


def sixteen_bits() -> Image.Image:
    levels = np.asarray(scene(3).convert("L")).astype(np.uint16) * 257
    return Image.fromarray(levels)


def header_only_png(width: int, height: int) -> bytes:
    """A bomb without powder: it announces its size and has no pixels."""
    header = struct.pack("!2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack("!I", len(body)) + name + body + struct.pack("!I", zlib.crc32(name + body))
        for name, body in chunks
    )


def base64_of(image: bytes) -> str:
    return base64.b64encode(image).decode()
