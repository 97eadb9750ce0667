"""A result as pictures with their words: what notebooks, figures and saved files all show."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from servelens.client import pictures
from servelens.client.colours import Numbers, Scale, as_plane
from servelens.client.photos import shown
from servelens.client.results import Activation, Attribution, Result, Showable
from servelens.protocol import InputRef, ReceptiveField

MOST_CHANNELS = 64


@dataclass(frozen=True)
class Panel:
    """No picture where there are no numbers; the caption then says why. The photo has no scale."""

    title: str
    caption: str
    picture: Image.Image | None = None
    scale: Scale | None = None


def panels(result: Showable, longest: int) -> Iterator[Panel]:
    """The photo before a whole result, where it is known; then a panel for each entry."""
    photo = photo_seen(result, longest)
    if isinstance(result, Result) and photo is not None and result.input is not None:
        yield Panel("what the model saw", _where(result.input), photo)
    for entry in result.entries:
        yield (
            _grid(entry, longest) if isinstance(entry, Activation) else _map(entry, photo, longest)
        )
    if isinstance(result, Result) and result.receptive_field is not None:
        yield _unit(result.receptive_field, photo, longest)


def photo_seen(result: Showable, longest: int) -> Image.Image | None:
    """What the model saw, where the photo is known and this machine can open it."""
    origin = result.origin
    if origin is None or origin.photo is None or origin.input is None:
        return None
    photo = shown(origin.photo)
    return None if photo is None else pictures.seen(photo, origin.input.crop, longest)


def _where(seen: InputRef) -> str:
    left, top, right, bottom = seen.crop
    whole = f"{seen.width} by {seen.height}"
    return f"{right - left} by {bottom - top} pixels at {left}, {top} of {whole}"


def _map(entry: Attribution, photo: Image.Image | None, longest: int) -> Panel:
    if entry.map is None or not entry.map.size:
        return Panel(entry.title, entry.why_nothing)
    plane = as_plane(entry.map)
    scale = Scale.of(plane, signed=entry.signed)
    return Panel(entry.title, scale.words(), _over(photo, plane, scale, longest), scale)


def _unit(field: ReceptiveField, photo: Image.Image | None, longest: int) -> Panel:
    at = "" if field.position is None else " at row {}, column {}".format(*field.position)
    title = f"what the unit{at} of channel {field.channel} of {field.layer} sees"
    if field.map is None or not field.map.size:
        return Panel(title, "no numbers" if field.problem is None else field.problem.words)
    plane = as_plane(field.map)
    scale = Scale.of(plane, signed=False)
    return Panel(title, scale.words(), _over(photo, plane, scale, longest), scale)


def _over(photo: Image.Image | None, plane: Numbers, scale: Scale, longest: int) -> Image.Image:
    """By itself where the photo is not known."""
    if photo is not None:
        return pictures.overlay(photo, plane, scale)
    height, width = plane.shape
    zoom = longest / max(height, width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    return pictures.heat(plane, scale, size)


def _grid(entry: Activation, longest: int) -> Panel:
    if entry.maps is None or not entry.maps.size:
        return Panel(entry.title, entry.why_nothing)
    maps = np.stack([as_plane(channel) for channel in entry.maps[:MOST_CHANNELS]])
    scale = Scale.of(maps, signed=False)
    picture = pictures.atlas(maps, scale, longest // math.ceil(math.sqrt(len(maps))))
    of = len(entry.maps)
    count = f"{len(maps)} of {of} channels" if len(maps) < of else f"{of} channels"
    rest = f"; {len(entry.next.channels)} more on the next page" if entry.next else ""
    return Panel(entry.title, f"{count} on one scale, {scale.words()}{rest}", picture, scale)
