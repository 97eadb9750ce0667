"""What a value in a recipe may be: small checks that give the value in its final form or say no.

A check takes what TOML gave and returns what the recipe keeps; it raises `Unfit` with the end of a
sentence that begins with the key: "[input] size" + " must be ...".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from servelens.protocol import ProblemError, did_you_mean, read_explain, shorten
from servelens.protocol.keys import KEY_BY_NAME

Check = Callable[[Any], Any]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Unfit(ValueError):
    """The end of a sentence whose beginning is the key's name."""


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Unfit(f"must be text, not {shorten(value)}")
    return value


def name(value: Any) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value) or len(value) > 100:
        raise Unfit(
            "must be 1 to 100 letters, digits, '_', '.' and '-', the first a letter or a digit, "
            f"not {shorten(value)}"
        )
    return value


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit(f"must be true or false, not {shorten(value)}")
    return value


def integer(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if not _is_integer(value) or not low <= value <= high:
            raise Unfit(f"must be an integer from {low} to {high}, not {shorten(value)}")
        return int(value)

    return check


def choice(*valid: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in valid:
            hint = f"; {did_you_mean(value, valid)}" if isinstance(value, str) else ""
            raise Unfit(f"must be one of {', '.join(valid)}, not {shorten(value)}{hint}")
        return value

    return check


def channel_count(value: Any) -> int:
    if not _is_integer(value) or value not in (1, 3):
        raise Unfit(f"must be 3 for colour or 1 for grey, not {shorten(value)}")
    return int(value)


def numbers(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list) or not value or not all(_is_finite(v) for v in value):
        raise Unfit(f"must be a list of numbers, one a channel, not {shorten(value)}")
    return tuple(float(v) for v in value)


def positive_numbers(value: Any) -> tuple[float, ...]:
    found = numbers(value)
    if min(found) <= 0:
        raise Unfit(f"must be above 0, for pixels are divided by it, not {shorten(value)}")
    return found


def image_size(value: Any) -> tuple[int, int]:
    sides = [value, value] if _is_integer(value) else value
    if (
        not isinstance(sides, list)
        or len(sides) != 2
        or not all(_is_integer(side) and 1 <= side <= 4096 for side in sides)
    ):
        raise Unfit(
            f"must be an integer from 1 to 4096 or [height, width] of those, not {shorten(value)}"
        )
    return sides[0], sides[1]


def texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise Unfit(f"must be a list of texts, not {shorten(value)}")
    return tuple(value)


def text_table(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) and v for v in value.values()):
        raise Unfit(f"must be a table of texts, not {shorten(value)}")
    return dict(value)


def keyword_arguments(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unfit(f"must be a table, not {shorten(value)}")
    for taken in ("weights", "num_classes"):
        if taken in value:
            raise Unfit(f"may not hold {taken!r}, for [model] has a key of that name")
    if not _is_json(value):
        raise Unfit("may hold only texts, finite numbers, booleans, lists and tables")
    return dict(value)


def plan(value: Any) -> tuple[Any, ...]:
    """The form of a request's `explain`; whether the methods fit the model, the preflight sees."""
    if not isinstance(value, list) or not _is_json(value):
        raise Unfit(f"must be a list of methods as in a request's explain, not {shorten(value)}")
    try:
        read_explain(KEY_BY_NAME["explain"].shape.read(value, "default_plan"))
    except ProblemError as error:
        raise Unfit(f"is not as a request's explain: {error.problem.message}") from None
    return tuple(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_json(value: Any) -> bool:
    """TOML also has dates, and floats that JSON has no name for."""
    if isinstance(value, dict):
        return all(_is_json(item) for item in value.values())
    if isinstance(value, list):
        return all(_is_json(item) for item in value)
    return isinstance(value, (str, bool)) or _is_finite(value)
