"""Values that come as text: JSON with bounds, and the fields of a form."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Callable, Dict, List, Tuple, Union

from servelens.protocol.extent import MOST_VALUES, TOO_MANY, marks_in
from servelens.protocol.keys import KEY_BY_NAME
from servelens.protocol.problem import ProblemError, place, problem, shorten

LONGEST_NUMBER = 20

Members = List[Tuple[str, Any]]


def each_once(members: Members) -> Dict[str, Any]:
    """Of a key that stands twice readers of JSON take one value or the other: it is refused."""
    found = dict(members)
    if len(found) < len(members):
        ((name, _),) = Counter(name for name, _ in members).most_common(1)
        raise problem(
            "bad_value",
            f"{shorten(name)} stands more than once in a JSON object",
            hint="give each key once",
        )
    return found


def read_form_value(name: str, text: str) -> Any:
    """A form knows only text: read as JSON where it parses, else left as text."""
    key = KEY_BY_NAME.get(name)
    if name == "id":
        return text
    try:
        value = read_json_or_text(text)
    except ProblemError as error:
        raise ProblemError(error.problem.at(place(name))) from None
    if key is not None and key.comma_list and isinstance(value, str) and "," in value:
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def read_json(
    text: Union[str, bytes], object_of: Callable[[Members], Dict[str, Any]] = each_once
) -> Any:
    """The JSON value; raises ValueError with the reason where it is none."""
    if marks_in(text) > MOST_VALUES:
        raise ValueError(f"it holds {TOO_MANY}")
    try:
        return json.loads(
            text,
            parse_constant=_no_constant,
            parse_int=_bounded_int,
            object_pairs_hook=object_of,
        )
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def read_json_or_text(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError:
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _bounded_int(digits: str) -> int:
    """Python takes quadratic time over long digits; no key takes a number this long."""
    if len(digits) > LONGEST_NUMBER:
        raise ValueError("the number is too long")
    return int(digits)
