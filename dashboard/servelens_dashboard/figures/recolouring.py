"""Colours, opacity and threshold that are changed in the browser, without a round trip.

A map is sent once, as a PNG with a palette whose indices are the places 0 to 255 on its scale. To
change how it looks, `assets/heat.js` writes another palette and other opacities into the same bytes
(the chunks PLTE and tRNS); no pixel is read or computed again. It takes

- a figure, whose layout image and trace named `heat` are to be coloured;
- `tables()`: `{name: {"title", "signed", "colours"}}`, colours as 256 times RRGGBB;
- an `Appearance` as a mapping.

`servelens.heat.apply(figure, tables, appearance)` gives the figure with the other colours. The
figure's `meta` (`mapped`) says whether its map is signed, for colours of the other kind leave it as
usual, and whether a photo lies below it, without which opacity means nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from plotly import colors

from servelens.client.pictures import STRONGEST, data_url
from servelens.palettes import LEVELS, graded, palette

Bytes = NDArray[np.uint8]

HEAT = "heat"
STOPS = 33


@dataclass(frozen=True)
class Colours:
    """Made with a function, for most tables are not asked for."""

    title: str
    signed: bool
    table: Callable[[], Any]


def _plotly(scale: list[str]) -> Callable[[], Any]:
    return lambda: graded([bytes(_rgb(colour)).hex() for colour in scale])


def _rgb(colour: str) -> list[int]:
    read = colors.hex_to_rgb if colour.startswith("#") else colors.unlabel_rgb
    return [int(part) for part in read(colour)]


COLOURS = {
    "cividis": Colours("Cividis", False, lambda: palette(signed=False)),
    "viridis": Colours("Viridis", False, _plotly(colors.sequential.Viridis)),
    "magma": Colours("Magma", False, _plotly(colors.sequential.Magma)),
    "grey": Colours("Grey", False, lambda: graded(["000000", "ffffff"])),
    "blue-red": Colours("Blue to red", True, lambda: palette(signed=True)),
    "purple-orange": Colours("Purple to orange", True, _plotly(colors.diverging.PuOr[::-1])),
}
USUAL = {False: "cividis", True: "blue-red"}


@dataclass(frozen=True)
class Appearance:
    """`colours` None are the usual ones of the map's kind. What is weaker than `threshold`, as a
    share of the scale, is not seen; `fade` lets the photo through where a map is weak."""

    colours: str | None = None
    opacity: float = STRONGEST
    threshold: float = 0.0
    fade: bool = True

    def to_wire(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


AS_USUAL = Appearance()
# An atlas has no photo under it.
SOLID = Appearance(opacity=1.0, fade=False)


def tables() -> dict[str, dict[str, Any]]:
    """All colours as the browser takes them, about 10 kB."""
    return {
        name: {"title": kind.title, "signed": kind.signed, "colours": kind.table().tobytes().hex()}
        for name, kind in COLOURS.items()
    }


def name_of(appearance: Appearance, *, signed: bool) -> str:
    """The colours that a map of this kind gets: those chosen, if they fit it."""
    chosen = appearance.colours
    if chosen is None:
        return USUAL[signed]
    if chosen not in COLOURS:
        raise ValueError(f"colours must be one of {', '.join(COLOURS)}, not {chosen!r}")
    return chosen if COLOURS[chosen].signed == signed else USUAL[signed]


def table_of(appearance: Appearance, *, signed: bool) -> Bytes:
    table: Bytes = COLOURS[name_of(appearance, signed=signed)].table()
    return table


def alphas(appearance: Appearance, *, signed: bool) -> Bytes:
    """How opaque each of the 256 places is; zero is the first of an unsigned scale and the middle
    of a signed one."""
    places = np.arange(LEVELS) / (LEVELS - 1)
    strength = np.abs(2 * places - 1) if signed else places
    seen = strength >= appearance.threshold
    shares = 255 * appearance.opacity * (strength if appearance.fade else 1.0) * seen
    opaque: Bytes = np.floor(shares + 0.5).astype(np.uint8)
    return opaque


def stops(appearance: Appearance, *, signed: bool) -> list[list[Any]]:
    """The same colours as Plotly has them, for colour bars."""
    table = table_of(appearance, signed=signed)
    places = [round(255 * stop / (STOPS - 1)) for stop in range(STOPS)]
    return [[place / 255, "#" + table[place].tobytes().hex()] for place in places]


def mapped(*, signed: bool, photo: bool) -> dict[str, Any]:
    return {HEAT: {"signed": signed, "photo": photo}}


def heat_png(levels: Bytes, appearance: Appearance, *, signed: bool) -> str:
    """[H, W] places on a scale as the address of a PNG of 256 colours with their opacities."""
    picture = Image.fromarray(levels)
    picture.putpalette(table_of(appearance, signed=signed).tobytes())
    picture.info["transparency"] = alphas(appearance, signed=signed).tobytes()
    return data_url(picture)
