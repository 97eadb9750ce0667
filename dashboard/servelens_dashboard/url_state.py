"""What a page shows, as its address: whoever opens the address sees the same.

Example::

    /explain?model=shapes-clean&photo=0f3a…&class=2&method=occlusion~window=8&method=grad_cam@stage2
    /explore?layer=stage2&channel=5&at=3,4&out=1

A view is all that the server needs to draw a page, so that no visitor's state is kept here. How a
map is coloured is the browser's own business and stands behind the `#`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from servelens.protocol import shorten

MODELS = "models"
MODELS_PATH = f"/{MODELS}"
COMPARE = "compare"
PAGES = ("explain", "explore", COMPARE, MODELS)
HOME = PAGES[0]
MOST_METHODS = 6
MOST_MODELS = 6
LONGEST = 4000
# What need not be escaped in a query, so that addresses can be read.
PLAIN = "~=@,./:"
OWN, SHARED = "own", "shared"
ON = "1"

Scalar = bool | int | float | str


class BadAddress(Exception):
    """An address that no page of ours has written; the message says what is wrong with it."""


@dataclass(frozen=True)
class Entry:
    """One method that is asked for, written `method@layer~parameter=value`."""

    method: str
    layer: str | None = None
    params: tuple[tuple[str, Scalar], ...] = ()

    def __str__(self) -> str:
        at = f"@{self.layer}" if self.layer else ""
        return f"{self.method}{at}" + "".join(f"~{k}={_text(v)}" for k, v in self.params)

    def with_param(self, name: str, value: Scalar | None) -> Entry:
        """None takes the parameter's default again."""
        params = {**dict(self.params), name: value}
        kept = tuple((k, v) for k, v in sorted(params.items()) if v is not None)
        return replace(self, params=kept)

    def request(self) -> dict[str, Any]:
        """As the protocol's key `explain` takes it."""
        layer = {"layer": self.layer} if self.layer else {}
        return {"method": self.method, **layer, **dict(self.params)}


@dataclass(frozen=True)
class Named:
    """A model, and the version if it is not the default one; written `name` or `name:version`."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.name}:{self.version}" if self.version else self.name


@dataclass(frozen=True)
class View:
    """None is whatever the page itself takes where nothing is said."""

    page: str = HOME
    models: tuple[Named, ...] = ()
    photo: str | None = None
    target: int | None = None
    versus: int | None = None
    methods: tuple[Entry, ...] = ()
    scale: str = OWN
    layer: str | None = None
    channel: int | None = None
    place: tuple[int, int] | None = None
    out: bool = False
    sort_by: str | None = None
    file: str | None = None
    # The demo's story, told as far as this step.
    story: int | None = None

    @property
    def model(self) -> Named | None:
        return self.models[0] if self.models else None

    def but(self, **changes: Any) -> View:
        return replace(self, **changes)

    def with_photo(self, photo: str | None) -> View:
        """Its classes were those of another photo."""
        return self.but(photo=photo, target=None, versus=None)

    def at_layer(self, layer: str | None) -> View:
        """Its channels are others than those of the layer before."""
        return self.but(layer=layer).at_channel(None)

    def at_channel(self, channel: int | None) -> View:
        """One that is knocked out stays so until none is looked at: so each in turn can be."""
        return self.but(channel=channel, place=None, out=self.out and channel is not None)

    @property
    def search(self) -> str:
        pairs = [f"{key}={quote(value, safe=PLAIN)}" for key, value in self._pairs()]
        return f"?{'&'.join(pairs)}" if pairs else ""

    @property
    def href(self) -> str:
        return f"/{self.page}{self.search}"

    def _pairs(self) -> Iterator[tuple[str, str]]:
        yield from (("model", str(model)) for model in self.models)
        for key, value in (("photo", self.photo), ("class", self.target), ("versus", self.versus)):
            if value is not None:
                yield key, str(value)
        yield from (("method", str(entry)) for entry in self.methods)
        if self.scale != OWN:
            yield "scale", self.scale
        for key, value in (
            ("layer", self.layer),
            ("channel", self.channel),
            ("at", self.place and ",".join(map(str, self.place))),
            ("out", ON if self.out else None),
            ("sort", self.sort_by),
            ("file", self.file if self.page == MODELS else None),
            ("story", self.story),
        ):
            if value is not None:
                yield key, str(value)


def parse(pathname: str | None, search: str | None) -> View:
    """The view that an address names; raises `BadAddress`."""
    page = (pathname or "/").strip("/") or HOME
    if page not in PAGES:
        raise BadAddress(f"There is no page {shorten(page)}; there are {', '.join(PAGES)}.")
    query = (search or "").removeprefix("?")
    if len(query) > LONGEST:
        raise BadAddress(f"The address is {len(query)} long; at most {LONGEST} is read.")
    pairs = parse_qsl(query, keep_blank_values=True)
    scale = _last(pairs, "scale") or OWN
    if scale not in (OWN, SHARED):
        raise BadAddress(f"scale must be {OWN} or {SHARED}, not {shorten(scale)}.")
    return View(
        page=page,
        models=_several(map(parse_named, _all(pairs, "model")), "models", MOST_MODELS),
        photo=_last(pairs, "photo"),
        target=_index(pairs, "class"),
        versus=_index(pairs, "versus"),
        methods=_several(map(parse_entry, _all(pairs, "method")), "methods", MOST_METHODS),
        scale=scale,
        layer=_last(pairs, "layer"),
        channel=_index(pairs, "channel"),
        place=_place(pairs, "at"),
        out=_is_on(pairs, "out"),
        sort_by=_last(pairs, "sort"),
        file=_last(pairs, "file"),
        story=_index(pairs, "story"),
    )


def parse_at(href: str) -> View:
    address = urlsplit(href)
    return parse(address.path, address.query)


def parse_named(text: str) -> Named:
    name, _, version = text.partition(":")
    if not name:
        raise BadAddress("A model in the address has no name.")
    return Named(name, version or None)


def parse_entry(text: str) -> Entry:
    head, *given = text.split("~")
    method, _, layer = head.partition("@")
    params: dict[str, Scalar] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise BadAddress(f"{shorten(pair)} is no parameter=value of a method.")
        params[name] = _value(value)
    if not method.isidentifier():
        raise BadAddress(f"{shorten(method)} is no method's name.")
    return Entry(method, layer or None, tuple(sorted(params.items())))


def _several(items: Iterable[Any], what: str, most: int) -> tuple[Any, ...]:
    found = tuple(dict.fromkeys(items))
    if len(found) > most:
        raise BadAddress(f"The address names {len(found)} {what}; at most {most} are shown.")
    return found


def _value(text: str) -> Scalar:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, (bool, str)) or (isinstance(value, (int, float)) and math.isfinite(value)):
        return value
    return text


def _text(value: Scalar) -> str:
    """Text that would be read as something else is quoted, and what parts parameters escaped."""
    if isinstance(value, str) and _value(value) == value and "~" not in value:
        return value
    return json.dumps(value).replace("~", r"\u007e")


def _index(pairs: list[tuple[str, str]], key: str) -> int | None:
    text = _last(pairs, key)
    if text is None:
        return None
    if not _counts(text):
        raise BadAddress(f"{key} must be a number from 0 up, not {shorten(text)}.")
    return int(text)


def _place(pairs: list[tuple[str, str]], key: str) -> tuple[int, int] | None:
    text = _last(pairs, key)
    if text is None:
        return None
    row, _, column = text.partition(",")
    if not (_counts(row) and _counts(column)):
        raise BadAddress(f"{key} must be a row and a column such as 3,5, not {shorten(text)}.")
    return int(row), int(column)


def _counts(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _is_on(pairs: list[tuple[str, str]], key: str) -> bool:
    text = _last(pairs, key)
    if text not in (None, ON):
        raise BadAddress(f"{key} must be {ON} or left out, not {shorten(text)}.")
    return text == ON


def _all(pairs: list[tuple[str, str]], key: str) -> list[str]:
    return [value for name, value in pairs if name == key]


def _last(pairs: list[tuple[str, str]], key: str) -> str | None:
    found = _all(pairs, key)
    return found[-1] or None if found else None
