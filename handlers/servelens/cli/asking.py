"""Photos in, answers out: what predict, explain and activations do alike."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from servelens.cli.exits import Exit, exit_of, say
from servelens.cli.screen import print_json, print_line

if TYPE_CHECKING:
    from servelens.client import ClientError, Result

Ask = Callable[[Path], "Result"]
Show = Callable[[Path, "Result"], None]


def answer_each(
    images: Sequence[Path],
    ask: Ask,
    show: Show,
    *,
    at_once: int,
    as_json: bool,
    out: Path | None = None,
) -> None:
    """Every photo is asked about, whatever became of those before; the exit code tells."""
    from servelens.client import in_order

    progress = len(images) > 1 and sys.stderr.isatty()
    answers = in_order(ask, images, at_once=at_once, progress=progress)
    exits = [
        _tell(image, answer, folder, show, as_json)
        for image, answer, folder in zip(images, answers, _folders(images, out), strict=True)
    ]
    if len(set(exits)) > 1:
        raise typer.Exit(Exit.NOT_ALL)
    raise typer.Exit(exits[0])


def _tell(
    image: Path, answer: Result | ClientError, folder: Path | None, show: Show, as_json: bool
) -> Exit:
    from servelens.client import ClientError

    try:
        if isinstance(answer, ClientError):
            raise answer
        saved = None if folder is None else answer.save(folder)
    except ClientError as error:
        say(f"{image}: {error}")
        if as_json:
            print_json({"image": str(image), "error": str(error)})
        return exit_of(error)
    if as_json:
        print_json({"image": str(image), "saved": saved and str(saved), **_wire(answer, saved)})
    else:
        show(image, answer)
        if saved is not None:
            print_line(f"saved in {saved}")
    return Exit.NOT_ALL if answer.has_failures else Exit.DONE


def _wire(answer: Result, saved: Path | None) -> dict[str, Any]:
    """The document; tensors in base64, or by name where they were saved."""
    from servelens import codec

    if saved is None:
        return {"document": codec.pack_json(answer.document)}
    return {"document": codec.pack_npz(answer.document)[0]}


def _folders(images: Sequence[Path], out: Path | None) -> Iterator[Path | None]:
    """Named after the photos; of two photos of one name the second gets a number."""
    taken: dict[str, int] = {}
    for image in images:
        name = re.sub(r"[^\w-]+", "-", image.stem).strip("-") or "photo"
        taken[name] = taken.get(name, 0) + 1
        unique = name if taken[name] == 1 else f"{name}-{taken[name]}"
        yield None if out is None else out / unique
