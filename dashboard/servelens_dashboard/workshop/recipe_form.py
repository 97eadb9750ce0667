"""A recipe's values as a person sees and changes them, one declaration a field.

What is typed is read only as far as it takes; whether it fits, the builder says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def _as_text(value: Any) -> str:
    return "" if value is None else str(value)


def _numbers_text(value: Any) -> str:
    return ", ".join(f"{number:g}" for number in value) if isinstance(value, list) else ""


def _numbers(text: str) -> Any:
    return _json(f"[{text}]", text)


def _number(text: str) -> Any:
    return _json(text, text)


def _size_text(value: Any) -> str:
    return " x ".join(map(str, value)) if isinstance(value, list) else _as_text(value)


def _size(text: str) -> Any:
    sides = [_number(side) for side in re.split(r"\s*[x×,]\s*", text)]
    return sides[0] if len(sides) == 1 else sides


def _lines_text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else ""


def _lines(text: str) -> Any:
    """One name a line; or JSON, as an index_to_name.json has it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _json(text, lines) if text.lstrip()[:1] in ("[", "{") else lines


def _json(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise


@dataclass(frozen=True)
class Field:
    """One key of a recipe, dotted."""

    key: str
    label: str
    hint: str
    show: Callable[[Any], str] = _as_text
    read: Callable[[str], Any] = _as_text

    def text(self, table: Mapping[str, Any]) -> str:
        value: Any = table
        for part in self.key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return self.show(value)


NAME, ARCHITECTURE, CHANNELS, LABELS = (
    "name", "model.architecture", "input.channels", "output.labels",
)  # fmt: skip
SCALE = "One number a channel; where none stand, ImageNet's"
# Of an archive that has no lens: whether it gets one.
LENS, BESIDE, AS_IT_IS = "lens", "beside its handler", "none"
FIELDS = (
    Field(NAME, "Name", "Of the model on the server"),
    Field(ARCHITECTURE, "Architecture", "torchvision's name of it"),
    Field("input.size", "Pixels", "As 224, or 224 x 320: height x width", _size_text, _size),
    Field("input.resize", "Shorter side before the crop", "0 takes the whole photo", read=_number),
    Field(CHANNELS, "Channels", "3 for colour, 1 for grey", read=_number),
    Field("input.mean", "Mean", SCALE, _numbers_text, _numbers),
    Field("input.std", "Standard deviation", SCALE, _numbers_text, _numbers),
    Field(LABELS, "Names of the classes", "", _lines_text, _lines),
)


def changed(table: Mapping[str, Any], typed: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """What the builder is told: the name and the architecture, and what a person has changed."""
    texts = {key: _as_text(value).strip() for key, value in typed}
    values = {
        field.key: field.read(texts[field.key])
        for field in FIELDS
        if texts.get(field.key)
        and (field.key in (NAME, ARCHITECTURE) or texts[field.key] != field.text(table))
    }
    if texts.get(LENS) in (BESIDE, AS_IT_IS):
        values[LENS] = texts[LENS]
    if texts.get(NAME, "") != _as_text(table.get("name")) and NAME in values:
        values["title"] = values[NAME]
    return values
