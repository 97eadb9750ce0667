"""How a command ends: what its exit code means, and what it says when it fails."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from servelens.cli.screen import harmless


class Exit(enum.IntEnum):
    DONE = 0
    NOT_ALL = 1
    USAGE = 2
    NO_ANSWER = 3
    REFUSED = 4
    HERE = 5


MEANINGS = {
    Exit.DONE: "all that was asked for was done",
    Exit.NOT_ALL: "a part of it failed, and was told: an image, a map, a recipe, a check",
    Exit.USAGE: "the command line is wrong",
    Exit.NO_ANSWER: "no answer: the server is not there or too slow, or its key is not known",
    Exit.REFUSED: "the server refused, and said why",
    Exit.HERE: "something on this machine failed: a photo to read, a file to write",
}


def say(text: str) -> None:
    """To a person: on standard error, which no program reads."""
    sys.stderr.write(f"servelens: {harmless(text)}\n")


def exit_of(error: Exception) -> Exit:
    from servelens.client import BadAnswer, BadName, Refused, Unreachable

    if isinstance(error, BadName):
        return Exit.USAGE
    if isinstance(error, Unreachable):
        return Exit.NO_ANSWER
    return Exit.REFUSED if isinstance(error, (Refused, BadAnswer)) else Exit.HERE


@contextmanager
def errors_told() -> Iterator[None]:
    """What goes wrong inside ends the command, in a sentence and with its exit code."""
    from servelens.client import ClientError

    try:
        yield
    except ClientError as error:
        say(str(error))
        raise typer.Exit(exit_of(error)) from error
