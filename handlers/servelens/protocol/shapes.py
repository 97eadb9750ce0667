"""Small declarations of what a value may be; each one both reads a value and gives its schema.

The request's keys and the methods' parameters are declared with these, so that validation, the
JSON Schemas, the documentation and a client's forms all come from one place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Mapping, Optional, Tuple

from servelens.protocol.pictures import Drawing, picture_of_text
from servelens.protocol.problem import did_you_mean, place, problem, shorten


class Shape:
    """What a value may be."""

    json_types: ClassVar[Tuple[type, ...]]

    def takes(self, value: Any) -> bool:
        """Whether the value has this shape's JSON type; JSON tells true from 1, Python does not."""
        return isinstance(value, self.json_types) and isinstance(value, bool) <= (
            bool in self.json_types
        )

    def read(self, value: Any, where: str) -> Any:
        """The value in the form that the code uses; raises `bad_value` where it does not fit."""
        raise NotImplementedError

    def schema(self) -> Dict[str, Any]:
        """The same as JSON Schema."""
        raise NotImplementedError

    def says(self) -> str:
        """The same in words, for a message: 'an integer from 1'."""
        raise NotImplementedError

    def reject(self, value: Any, where: str) -> Exception:
        return problem(
            "bad_value", f"{where} must be {self.says()}, not {shorten(value)}", where=where
        )


@dataclass(frozen=True)
class Flag(Shape):
    json_types = (bool,)

    def read(self, value: Any, where: str) -> bool:
        if not self.takes(value):
            raise self.reject(value, where)
        return bool(value)

    def schema(self) -> Dict[str, Any]:
        return {"type": "boolean"}

    def says(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class Null(Shape):
    """For a key whose null says something of its own."""

    json_types = (type(None),)

    def read(self, value: Any, where: str) -> None:
        if value is not None:
            raise self.reject(value, where)

    def schema(self) -> Dict[str, Any]:
        return {"type": "null"}

    def says(self) -> str:
        return "null"


@dataclass(frozen=True)
class Integer(Shape):
    json_types = (int,)
    min: Optional[int] = None
    max: Optional[int] = None

    def read(self, value: Any, where: str) -> int:
        if not self.takes(value) or not _within(self, value):
            raise self.reject(value, where)
        return int(value)

    def schema(self) -> Dict[str, Any]:
        return {"type": "integer", **_bounds(self)}

    def says(self) -> str:
        return "an integer" + _range_in_words(self)


@dataclass(frozen=True)
class Number(Shape):
    json_types = (int, float)
    min: Optional[float] = None
    max: Optional[float] = None

    def read(self, value: Any, where: str) -> float:
        if not self.takes(value) or not _within(self, value) or not _is_finite(value):
            raise self.reject(value, where)
        return float(value)

    def schema(self) -> Dict[str, Any]:
        return {"type": "number", **_bounds(self)}

    def says(self) -> str:
        return "a number" + _range_in_words(self)


@dataclass(frozen=True)
class Text(Shape):
    json_types = (str,)
    max_length: Optional[int] = None

    def read(self, value: Any, where: str) -> str:
        if not self.takes(value) or len(value) > (self.max_length or len(value)):
            raise self.reject(value, where)
        if not _is_unicode(value):
            raise problem(
                "bad_value", f"{where} has half of a surrogate pair: {shorten(value)}", where=where
            )
        return str(value)

    def schema(self) -> Dict[str, Any]:
        bound = {} if self.max_length is None else {"maxLength": self.max_length}
        return {"type": "string", **bound}

    def says(self) -> str:
        return "a text" + (
            "" if self.max_length is None else f" of at most {self.max_length} characters"
        )


@dataclass(frozen=True)
class Png(Shape):
    """A picture drawn over the photo; a form may have it as a file, whose bytes are then read."""

    json_types = (str, bytes)

    def read(self, value: Any, where: str) -> Drawing:
        if not self.takes(value):
            raise self.reject(value, where)
        data = picture_of_text(value, where) if isinstance(value, str) else value
        return Drawing(data, where)

    def schema(self) -> Dict[str, Any]:
        return {
            "type": "string",
            "contentEncoding": "base64",
            "contentMediaType": "image/png",
        }

    def says(self) -> str:
        return "a PNG of the photo's size, in base64 or as a data URL"


@dataclass(frozen=True)
class Choice(Shape):
    json_types = (str,)
    choices: Tuple[str, ...]

    def read(self, value: Any, where: str) -> str:
        if not self.takes(value) or value not in self.choices:
            raise self.reject(value, where)
        return str(value)

    def schema(self) -> Dict[str, Any]:
        return {"enum": list(self.choices)}

    def says(self) -> str:
        return " or ".join(repr(c) for c in self.choices)


@dataclass(frozen=True)
class ListOf(Shape):
    json_types = (list, tuple)
    item: Shape
    min_items: int = 1
    max_items: int = 4096

    def read(self, value: Any, where: str) -> Tuple[Any, ...]:
        if not self.takes(value) or not self.min_items <= len(value) <= self.max_items:
            raise self.reject(value, where)
        return tuple(self.item.read(item, f"{where}[{i}]") for i, item in enumerate(value))

    def schema(self) -> Dict[str, Any]:
        return {
            "type": "array",
            "items": self.item.schema(),
            "minItems": self.min_items,
            "maxItems": self.max_items,
        }

    def says(self) -> str:
        return f"a list of {self.min_items} to {self.max_items} items, each {self.item.says()}"


@dataclass(frozen=True)
class Record(Shape):
    """An object with the given keys; with `rest`, other keys are handed on as they are."""

    json_types = (dict,)

    keys: Mapping[str, Shape]
    required: Tuple[str, ...] = ()
    rest: bool = False

    def read(self, value: Any, where: str) -> Dict[str, Any]:
        if not isinstance(value, dict):
            raise self.reject(value, where)
        for name in self.required:
            if name not in value:
                raise problem("bad_value", f"{where} lacks {name!r}", where=place(name, where))
        return {str(k): self._read_key(str(k), v, place(str(k), where)) for k, v in value.items()}

    def _read_key(self, key: str, value: Any, where: str) -> Any:
        if key in self.keys:
            return self.keys[key].read(value, where)
        if self.rest:
            return value
        raise problem(
            "unknown_key",
            f"{shorten(key)} is no key here",
            hint=did_you_mean(key, self.keys),
            where=where,
        )

    def schema(self) -> Dict[str, Any]:
        return {
            "type": "object",
            "properties": {name: shape.schema() for name, shape in self.keys.items()},
            "required": list(self.required),
            "additionalProperties": self.rest,
        }

    def says(self) -> str:
        named = " with " + ", ".join(repr(name) for name in self.keys) if self.keys else ""
        return "an object" + named


class Either(Shape):
    """The first of several shapes whose JSON type the value has; that one's errors then count."""

    def __init__(self, *shapes: Shape) -> None:
        self.shapes = shapes

    def takes(self, value: Any) -> bool:
        return any(shape.takes(value) for shape in self.shapes)

    def read(self, value: Any, where: str) -> Any:
        for shape in self.shapes:
            if shape.takes(value):
                return shape.read(value, where)
        raise self.reject(value, where)

    def schema(self) -> Dict[str, Any]:
        return {"anyOf": [shape.schema() for shape in self.shapes]}

    def says(self) -> str:
        return ", or ".join(shape.says() for shape in self.shapes)


def _is_unicode(text: str) -> bool:
    """JSON's escapes can spell half of a surrogate pair, which no answer could be encoded with."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_finite(value: float) -> bool:
    """JSON's integers have no bound; those that no float can hold count as infinite."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _within(shape: Any, value: float) -> bool:
    return (shape.min is None or value >= shape.min) and (shape.max is None or value <= shape.max)


def _bounds(shape: Any) -> Dict[str, Any]:
    bounds = {"minimum": shape.min, "maximum": shape.max}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _range_in_words(shape: Any) -> str:
    low = "" if shape.min is None else f" from {shape.min}"
    return low + ("" if shape.max is None else f" to {shape.max}")
