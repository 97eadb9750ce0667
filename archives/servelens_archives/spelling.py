"""A recipe's table as the TOML that a person keeps and changes; Python itself only reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def as_toml(table: Mapping[str, Any], comments: Sequence[str] = ()) -> str:
    return "\n".join([*(f"# {comment}" for comment in comments), *_lines(table)]) + "\n"


def _lines(table: Mapping[str, Any], path: Sequence[str] = ()) -> Iterator[str]:
    """A table's own values come before the sections in it."""
    if path:
        yield f"\n[{'.'.join(path)}]"
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*path, _key(key)))


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)


def _quoted(text: str) -> str:
    escaped = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in text)
    return f'"{"".join(escaped)}"'
