"""Documents as typed results, read by what their classes declare.

The classes are the protocol's own or extend them, so that a key is declared once. What a class does
not declare is kept in its field `more`; the server may be newer than we are.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from servelens.client.errors import BadAnswer
from servelens.protocol import shorten
from servelens.protocol.document import Tensor

MORE = "more"
# Marks a field that is no key of a document, whatever the server may send.
OURS = {"ours": True}
NOTHING: Mapping[str, Any] = types.MappingProxyType({})

T = TypeVar("T")
Reader = Callable[[Any, str], Any]


def carried() -> Any:
    """A field for what the class does not declare; nothing at first."""
    return dataclasses.field(default_factory=lambda: NOTHING, repr=False, metadata=OURS)


def freeze(value: Any) -> Any:
    """The same without a way to change it: mappings, tuples, and views of arrays."""
    if isinstance(value, Mapping):
        return types.MappingProxyType({key: freeze(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    return value


def read(kind: type[T], value: Any, where: str) -> T:
    """`value` as a `kind`; raises BadAnswer where it is something else."""
    wanted: Any = kind
    result: T = _reader(wanted)(value, where)
    return result


@functools.cache
def _reader(kind: Any) -> Reader:
    """How a value of this type is read; made once a type."""
    if kind is Tensor:
        return _read_array
    if kind is bytes:
        return _read_bytes
    if dataclasses.is_dataclass(kind):
        return _record_reader(kind)
    if kind in _SCALARS:
        return functools.partial(_read_scalar, kind)
    outer, inner = typing.get_origin(kind), typing.get_args(kind)
    if outer in (typing.Union, types.UnionType) and type(None) in inner:
        return _optional_reader(*(part for part in inner if part is not type(None)))
    if outer is tuple:
        return _tuple_reader(inner)
    if outer in (dict, Mapping):
        return _mapping_reader(inner[1])
    return _read_anything


def _record_reader(kind: Any) -> Reader:
    hints = typing.get_type_hints(kind)
    sources = [field for field in dataclasses.fields(kind) if "ours" not in field.metadata]
    readers = {field.name: _reader(hints[field.name]) for field in sources}
    keeps_more = MORE in hints
    required = {field.name for field in sources if not _has_default(field)}

    def read_record(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise _bad(where, "an object", value)
        known, more = {}, {}
        for key, item in value.items():
            if key in readers:
                known[key] = readers[key](item, f"{where}.{key}")
            else:
                more[key] = item
        if missing := required - known.keys():
            raise BadAnswer(f"the server's answer lacks {where}.{min(missing)}")
        if keeps_more and more:
            known[MORE] = freeze(more)
        return kind(**known)

    return read_record


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _optional_reader(*kinds: Any) -> Reader:
    reader = _reader(kinds[0]) if len(kinds) == 1 else _read_anything
    return lambda value, where: None if value is None else reader(value, where)


def _tuple_reader(kinds: tuple[Any, ...]) -> Reader:
    same = kinds[-1] is Ellipsis
    readers = [_reader(kind) for kind in kinds if kind is not Ellipsis]

    def read_tuple(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or not (same or len(value) == len(readers)):
            raise _bad(where, "a list" if same else f"a list of {len(readers)}", value)
        each = readers * len(value) if same else readers
        return tuple(
            reader(item, f"{where}[{i}]")
            for i, (reader, item) in enumerate(zip(each, value, strict=True))
        )

    return read_tuple


def _read_scalar(kind: type, value: Any, where: str) -> Any:
    accepted, words = _SCALARS[kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise _bad(where, words, value)
    return kind(value)


def _read_array(value: Any, where: str) -> Any:
    if not isinstance(value, np.ndarray):
        raise _bad(where, "a tensor", value)
    return freeze(value)


def _read_bytes(value: Any, where: str) -> bytes:
    """A picture; over the wire it is text."""
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError) as error:
        raise _bad(where, "bytes in base64", value) from error


def _mapping_reader(kind: Any) -> Reader:
    reader = _reader(kind)

    def read_mapping(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise _bad(where, "an object", value)
        read_items = {key: reader(item, f"{where}.{key}") for key, item in value.items()}
        return types.MappingProxyType(read_items)

    return read_mapping


def _read_anything(value: Any, where: str) -> Any:
    return freeze(value)


_SCALARS: Mapping[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "an integer"),
    float: ((int, float), "a number"),
    str: (str, "a text"),
}


def _bad(where: str, wanted: str, value: object) -> BadAnswer:
    return BadAnswer(f"in the server's answer {where} is not {wanted} but {shorten(value)}")


def as_read(record: Any) -> dict[str, Any]:
    """What a record was read from: its keys, and those that its class does not declare."""
    known = {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)
        if "ours" not in field.metadata
        and not ("absent_when_none" in field.metadata and getattr(record, field.name) is None)
    }
    return {**known, **getattr(record, MORE, NOTHING)}
