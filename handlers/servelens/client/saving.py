"""Results as files. Each says where it comes from, and is there whole or not at all.

What a file says of itself is a manifest: `schema_version`, what made it, the request and the
answer; of several results in one file, one after the other. The tensors lie in the same file, but
for a .png and a .html, which have their pictures.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from servelens import __version__, codec
from servelens.client.errors import NothingToShow, NotSaved
from servelens.client.extra import needs
from servelens.client.panels import panels
from servelens.client.pictures import sheet
from servelens.client.reading import as_read
from servelens.client.report import report
from servelens.client.results import Result, Showable
from servelens.protocol import to_wire

SCHEMA_VERSION = 1
LONGEST = 448
MANIFEST = "manifest.json"
TENSORS = "tensors.npz"
# The numbers as we have them, whatever they travelled as.
DTYPE = "float32"


def save(result: Showable, path: Path) -> Path:
    if not path.suffix:
        return _save_folder(result, path)
    encode = FORMATS.get(path.suffix.lower())
    if encode is None:
        known = ", ".join(FORMATS)
        raise NotSaved(f"{path} ends in none of {known}; without a suffix it is a folder of all")
    write_whole(path, encode(result))
    return path


def manifest(*results: Showable) -> dict[str, Any]:
    """Where results come from, and the results themselves with their tensors as arrays."""
    if len(results) == 1:
        return {**_made(results), **_told(results[0])}
    told = [{"title": result.title, **_told(result)} for result in results]
    return {**_made(results), "results": told}


def _made(results: Sequence[Showable]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "made_by": f"servelens {__version__}",
        "title": _title(results),
    }


def _title(results: Sequence[Showable]) -> str:
    return ", ".join(result.title for result in results)


def _told(result: Showable) -> dict[str, Any]:
    origin = result.origin
    photo = None if origin is None else origin.photo
    return {
        "photo": None if photo is None else _digest(photo),
        "asked": to_wire(origin.asked) if origin else {},
        "model": to_wire(origin.model) if origin else None,
        "input": to_wire(origin.input) if origin else None,
        "answer": to_wire(result.document if isinstance(result, Result) else as_read(result)),
    }


def _npz(*results: Showable) -> bytes:
    return codec.write_npz(*codec.pack_npz(manifest(*results), DTYPE))


def _json(*results: Showable) -> bytes:
    return codec.write_json(codec.pack_json(manifest(*results), DTYPE))


def _safetensors(*results: Showable) -> bytes:
    with needs("safetensors", ".safetensors files"):
        from safetensors.numpy import save as encode
    packed, arrays = codec.pack_npz(manifest(*results), DTYPE)
    return encode(arrays, metadata={"servelens": codec.write_json(packed).decode("utf-8")})


def _png(*results: Showable) -> bytes:
    shown = [panel for result in results for panel in panels(result, LONGEST)]
    tiles = [(panel.picture, f"{panel.title}\n{panel.caption}") for panel in shown if panel.picture]
    if not tiles:
        raise NothingToShow(f"{_title(results)}: there is nothing to draw")
    packed, _ = codec.pack_npz(manifest(*results), DTYPE)
    whole = tiles[0][0] if len(tiles) == 1 else sheet(tiles)
    return _png_bytes(whole, packed)


def _png_bytes(picture: Image.Image, about: Mapping[str, Any]) -> bytes:
    info = PngImagePlugin.PngInfo()
    # A lone surrogate, as a broken label may hold, is no UTF-8.
    info.add_itxt("Title", about["title"].encode("utf-8", "replace"))
    info.add_itxt("Software", str(about["made_by"]))
    info.add_itxt("servelens", codec.write_json(about).decode("utf-8"))
    file = io.BytesIO()
    picture.save(file, "PNG", pnginfo=info, optimize=picture.mode == "P")
    return file.getvalue()


# What each makes of one result, or of several that belong together.
FORMATS: Mapping[str, Callable[..., bytes]] = {
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".json": _json,
    ".png": _png,
    ".html": report,
}


def _save_folder(result: Showable, folder: Path) -> Path:
    """The manifest comes last: where it is, all that it names is there too."""
    packed, arrays = codec.pack_npz(manifest(result), DTYPE)
    files = {TENSORS: codec.write_npz(packed, arrays)}
    for number, panel in enumerate(panels(result, LONGEST)):
        if panel.picture is not None:
            name = f"{number:02}-{harmless(panel.title)}.png"
            files[name] = _png_bytes(panel.picture, packed)
    told = {name: {"bytes": len(body), "sha256": _digest(body)} for name, body in files.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotSaved(f"{folder} cannot be a folder: {error.strerror}") from error
    for name, body in files.items():
        write_whole(folder / name, body)
    write_whole(folder / MANIFEST, json.dumps({**packed, "files": told}, indent=1).encode())
    return folder


def harmless(words: str, longest: int = 60) -> str:
    """Of names that others may have chosen, what can do no harm in a file's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-.")[:longest]


def write_whole(path: Path, body: bytes) -> None:
    """The file is there with all of it, or as it was before."""
    half_done = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        try:
            with half_done.open("xb") as file:
                file.write(body)
            os.replace(half_done, path)
        finally:
            half_done.unlink(missing_ok=True)
    except OSError as error:
        raise NotSaved(f"{path} cannot be written: {error.strerror}") from error


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
