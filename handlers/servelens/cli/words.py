"""Words of the command line as values of a request, read as a form's fields are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from servelens.protocol import KEYS, ProblemError, did_you_mean, read_form_value

# Their answers are no documents.
NOT_HERE = ("stream", "describe")


def value_of(key: str, text: str) -> Any:
    """JSON where it parses, else text: `7` is an index and `"7"` a label."""
    try:
        return read_form_value(key, text)
    except ProblemError as error:
        raise typer.BadParameter(f"{key}={text}: {error.problem.words}") from None


def request_keys(pairs: Sequence[str]) -> dict[str, Any]:
    known = [key.name for key in KEYS if key.name not in NOT_HERE]
    keys: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or name not in known:
            hint = did_you_mean(name, known)
            raise typer.BadParameter(f"{pair!r} is no KEY=VALUE of a request; {hint}")
        keys[name] = value_of(name, text)
    return keys
