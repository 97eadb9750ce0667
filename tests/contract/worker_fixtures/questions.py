"""Requests drawn from the very declarations by which they are read, and spoiled here and there.

What is wrong everywhere is refused at the first key; only what is nearly right gets deep enough to
find something.
"""

from __future__ import annotations

import json
from functools import singledispatch
from typing import Any

from hypothesis import strategies as st

from servelens.engine.methods import METHODS
from servelens.protocol import KEYS
from servelens.protocol.shapes import (
    Choice,
    Either,
    Flag,
    Integer,
    ListOf,
    Null,
    Number,
    Png,
    Record,
    Shape,
    Text,
)
from worker_fixtures.front_end import Call, as_json, form, raw
from worker_fixtures.photos import PHOTO, PHOTO64, as_base64, mask, png

LAYERS = ("stem", "block", "block.relu", "block.relu#0", "last", "head", "*", "bl?ck*", "")
LABELS = ("disc", "star", "predicted", "top:2", "top:0", "top:-1", "3")
HOSTILE = (
    "%s%n",
    "{0.__class__}",
    "../../etc/passwd",
    "a\r\nb: c",
    "\x00",
    "\ud800",
    "[",
    "#",
    "*" * 99,
)
NAMES = st.sampled_from([*LAYERS, *LABELS, *METHODS, *HOSTILE]) | st.text(max_size=9)
NUMBERS = st.integers() | st.floats() | st.sampled_from([2**31, 2**63, -(2**63), 10**400, 1e308])

# What JSON can say, and the NaN that TorchServe lets through.
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
PICTURES = st.sampled_from(
    [PHOTO64, as_base64(mask()), as_base64(mask((3, 3))), as_base64(png(1, (1, 1))), "", "%"]
)


@singledispatch
def like(shape: Shape) -> st.SearchStrategy[Any]:
    """Values of this shape, a few of which are not quite."""
    raise TypeError(f"no values are drawn for {type(shape).__name__}")


def nearly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 31).flatmap(lambda die: right if die else JSON)


@like.register
def _(shape: Flag) -> st.SearchStrategy[Any]:
    return nearly(st.booleans())


@like.register
def _(shape: Null) -> st.SearchStrategy[Any]:
    return st.none()


@like.register
def _(shape: Integer) -> st.SearchStrategy[Any]:
    low, high = shape.min or 0, shape.max
    small = st.integers(low, low + 9 if high is None else min(high, low + 9))
    ends = st.sampled_from([low - 1, low, low + 5000, high or 2**31, (high or 2**64) + 1])
    return nearly(st.integers(0, 5).flatmap(lambda die: small if die else ends))


@like.register
def _(shape: Number) -> st.SearchStrategy[Any]:
    return nearly(st.floats(shape.min, shape.max, allow_nan=False) | st.integers(0, 3))


@like.register
def _(shape: Text) -> st.SearchStrategy[Any]:
    return nearly(NAMES)


@like.register
def _(shape: Png) -> st.SearchStrategy[Any]:
    return nearly(PICTURES)


@like.register
def _(shape: Choice) -> st.SearchStrategy[Any]:
    return nearly(st.sampled_from(shape.choices))


@like.register
def _(shape: ListOf) -> st.SearchStrategy[Any]:
    few = st.lists(like(shape.item), min_size=shape.min_items, max_size=max(shape.min_items, 3))
    return nearly(few)


@like.register
def _(shape: Record) -> st.SearchStrategy[Any]:
    needed = {name: like(shape.keys[name]) for name in shape.required}
    if "method" in needed:
        return nearly(METHOD_ENTRIES)
    more = {name: like(key) for name, key in shape.keys.items() if name not in needed}
    return nearly(st.fixed_dictionaries(needed, optional=more))


@like.register
def _(shape: Either) -> st.SearchStrategy[Any]:
    return st.one_of(*map(like, shape.shapes))


def _entry(name: str) -> st.SearchStrategy[Any]:
    """One method with parameters of its own."""
    method = METHODS[name]
    params = {param.name: like(param.shape) for param in method.params}
    where = {"layer": NAMES} if method.scope == "layer" else {}
    return st.fixed_dictionaries(
        {"method": st.just(name)},
        optional={**params, **where, "target": st.integers(0, 5) | NAMES},
    )


METHOD_ENTRIES = st.deferred(lambda: st.sampled_from(sorted(METHODS)).flatmap(_entry))
KEY_VALUES = {key.name: like(key.shape) for key in KEYS}
KEYSETS = st.lists(st.sampled_from(sorted(KEY_VALUES)), max_size=4, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: KEY_VALUES[name] for name in names})
)
BODIES = st.builds(lambda keys, image: {**keys, **image}, KEYSETS, st.sampled_from(
    [{"image": PHOTO64}, {"data": PHOTO64}, {"image": f"data:image/png;base64,{PHOTO64}"}, {}]
))  # fmt: skip
INSTANCES = st.builds(
    lambda items, shared: {**shared, "instances": items}, st.lists(BODIES, max_size=3), KEYSETS
)


def _as_form(keys: dict[str, Any]) -> Call:
    text = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in keys.items()
    }
    return form(PHOTO, **{k: v.encode("utf-8", "replace").decode() for k, v in text.items()})


@st.composite
def _spoiled(draw: st.DrawFn) -> Call:
    """A body of JSON or of pixels with some of its bytes changed, doubled or gone."""
    whole = draw(st.just(PHOTO) | BODIES.map(lambda body: json.dumps(body).encode()))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(whole)))
        end = at + draw(st.sampled_from([0, 1, 2, 8, len(whole)]))
        whole = whole[:at] + draw(st.binary(max_size=4)) + whole[end:]
    kinds = ["", "application/json", "application/octet-stream", "image/png"]
    return raw(whole, draw(st.sampled_from(kinds)))


# Rows as a handler is given them, with values that no front end writes.
ANY_ROW = st.dictionaries(NAMES | st.sampled_from(["body", "data", *KEY_VALUES]), JSON, max_size=4)
ROWS = st.one_of(
    JSON,
    ANY_ROW,
    st.builds(lambda body: {"body": body}, BODIES | INSTANCES),
    _spoiled().map(lambda call: {"body": call.parts[0].content}),
)
DOORS = st.sampled_from([{}, {"explain": "True"}, {"accept": "application/x-npz"}])


def _through(call: Call, headers: dict[str, str]) -> Call:
    return Call(call.parts, {**call.headers, **headers}, call.door)


CALLS = st.builds(
    _through,
    st.one_of(BODIES.map(as_json), KEYSETS.map(_as_form), INSTANCES.map(as_json), _spoiled()),
    DOORS,
)
Batch = list[Call]
