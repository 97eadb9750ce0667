"""The protocol as JSON Schema, made from the same declarations that read and write it."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Tuple, Union, get_args, get_origin, get_type_hints

from servelens.protocol.capability import Capability
from servelens.protocol.document import Document, Tensor
from servelens.protocol.keys import IMAGE_FIELDS, KEYS
from servelens.protocol.problem import STATUS, Problem

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PRIMITIVES: Mapping[Any, Dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    bytes: {
        "oneOf": [
            {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"},
            {
                "type": "object",
                "description": "in npz",
                "properties": {"array": {"type": "string"}},
                "required": ["array"],
                "additionalProperties": False,
            },
        ]
    },
    Any: {},
}
TENSOR_IN_JSON: Dict[str, Any] = {
    "type": "object",
    "properties": {
        "dtype": {"enum": ["float16", "float32"]},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "min": {"type": "number"},
        "max": {"type": "number"},
        "data": {"type": "string", "contentEncoding": "base64"},
        "array": {"type": "string", "description": "in npz: the name of the array"},
    },
    "required": ["dtype", "shape", "min", "max"],
    "oneOf": [{"required": ["data"]}, {"required": ["array"]}],
    "additionalProperties": False,
}


def request_schema() -> Dict[str, Any]:
    """Of a JSON body; in a form the same keys are fields."""
    image = {"type": "string", "description": "base64, or a data URL"}
    keys = {
        key.name: {**key.shape.schema(), "default": key.default, "description": key.help}
        for key in KEYS
    }
    return {
        "$schema": DIALECT,
        "title": "A request to a ServeLens archive",
        "type": "object",
        "properties": {**dict.fromkeys(IMAGE_FIELDS, image), **keys},
        "additionalProperties": False,
    }


def document_schema() -> Dict[str, Any]:
    return {"$schema": DIALECT, "title": "A lens document", **_of_dataclass(Document)}


def problem_schema() -> Dict[str, Any]:
    return {"$schema": DIALECT, "title": "A problem", **_of_problem()}


def capability_schema() -> Dict[str, Any]:
    return {"$schema": DIALECT, "title": "A capability document", **_of_dataclass(Capability)}


def _of_problem() -> Dict[str, Any]:
    text_or_null = {"type": ["string", "null"]}
    return {
        "type": "object",
        "properties": {
            "code": {"enum": sorted(set(STATUS.values()))},
            "type": {"enum": list(STATUS)},
            "message": {"type": "string"},
            "hint": text_or_null,
            "where": text_or_null,
            "id": {"type": "string"},
        },
        "required": ["code", "type", "message", "hint", "where"],
        "additionalProperties": False,
    }


def _of_dataclass(kind: Any) -> Dict[str, Any]:
    hints = get_type_hints(kind)
    fields = dataclasses.fields(kind)
    return {
        "type": "object",
        "properties": {field.name: _of_type(hints[field.name]) for field in fields},
        "required": [f.name for f in fields if not f.metadata.get("absent_when_none")],
        "additionalProperties": False,
    }


def _of_type(kind: Any) -> Dict[str, Any]:
    if kind in PRIMITIVES:
        return PRIMITIVES[kind]
    if kind is Tensor:
        return TENSOR_IN_JSON
    if kind is Problem:
        return _of_problem()
    if dataclasses.is_dataclass(kind):
        return _of_dataclass(kind)
    return _of_generic(get_origin(kind), get_args(kind))


def _of_generic(origin: Any, arguments: Tuple[Any, ...]) -> Dict[str, Any]:
    if origin is Union:
        options = [{"type": "null"} if a is type(None) else _of_type(a) for a in arguments]
        return {"anyOf": options}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _of_type(arguments[0])}
    if origin is tuple:
        size = len(arguments)
        items = [_of_type(argument) for argument in arguments]
        return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}
    return {"type": "object", "additionalProperties": _of_type(arguments[1])}
