"""How much one request may hold: what would take seconds to read is refused before it is read.

A request is a photo and some lists, of which none has more than 4096 items. So its values are
counted first, which takes milliseconds, and in text the marks that each stands behind: a photo in
base64 has none, however large it is.
"""

from __future__ import annotations

from typing import Any, List, Union

from servelens.protocol.problem import problem

MOST_VALUES = 100_000
TOO_MANY = f"more than {MOST_VALUES:,} values, or commas and brackets in text"
MARKS = "[{,"


def marks_in(text: Union[str, bytes]) -> int:
    """One less than the values that this can hold, as JSON or as a list with commas."""
    if isinstance(text, str):
        return sum(map(text.count, MARKS))
    return sum(map(text.count, MARKS.encode()))


def check_extent(value: Any, what: str = "the request", times: int = 1) -> None:
    """Of what is parsed already, or will be; `times` is how often it will be read."""
    if values_in(value) * times > MOST_VALUES:
        raise problem(
            "bad_value",
            f"{what} holds {TOO_MANY}",
            hint="send a photo as a file or in base64, and lists of at most 4096 items",
        )


def values_in(value: Any) -> int:
    """Those that hold others too; what is more than MOST_VALUES is not counted to its end."""
    count = 0
    waiting: List[Any] = [[value]]
    while waiting and count <= MOST_VALUES:
        held = waiting.pop()
        count += len(held)
        if count <= MOST_VALUES:
            for one in held.values() if isinstance(held, dict) else held:
                if isinstance(one, str):
                    count += marks_in(one)
                elif isinstance(one, (dict, list)):
                    waiting.append(one)
    return count
