"""The command behind `servelens instrument`: a lens for an archive that exists.

python -m servelens_archives.instrument old.mar --out new.mar
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from servelens.engine.folder.card import ACTIVATIONS
from servelens_archives import checks
from servelens_archives.build import until_stopped
from servelens_archives.errors import BuildError
from servelens_archives.instrumenting import Change, instrument, undo

EPILOG = (
    "The archive's own handler answers predictions as before, byte for byte. To find out what may "
    "be asked, its code is run once, in a process of its own but with your rights: instrument "
    "archives that you would also serve."
)


def run(arguments: Sequence[str] | None = None, prog: str = "servelens instrument") -> int:
    return until_stopped(lambda: main(arguments, prog))


def main(arguments: Sequence[str] | None = None, prog: str = "servelens instrument") -> int:
    asked = _parser(prog).parse_args(arguments)
    screen = Console(stderr=True, highlight=False)
    screen.print(str(asked.archive), style="bold", markup=False)

    def report(text: str) -> None:
        screen.print(f"  {text}", style="dim", markup=False, soft_wrap=True)

    try:
        if asked.undo:
            path = undo(asked.archive, asked.out, report=report)
        else:
            change = Change(asked.name, asked.version, asked.activation)
            path = instrument(asked.archive, asked.out, change, look=asked.look, report=report)
    except BuildError as error:
        screen.print(f"  error: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    sys.stdout.write(f"{path}\n")
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Put a lens beside the handler of an archive that exists, or take it out.",
        epilog=EPILOG,
    )
    parser.add_argument("archive", type=Path, metavar="OLD.mar", help="it is left as it is")
    parser.add_argument("--out", type=Path, required=True, metavar="NEW.mar", help="what to write")
    parser.add_argument("--name", type=_name, help="of the model, instead of the archive's own")
    parser.add_argument("--version", type=_name, help="of the model, instead of the archive's own")
    parser.add_argument(
        "--activation",
        choices=ACTIVATIONS,
        default=ACTIVATIONS[0],
        help="what the handler makes of the model's output, for the probabilities of lens "
        "documents (default: softmax, as TorchServe's own does)",
    )
    parser.add_argument(
        "--no-look",
        dest="look",
        action="store_false",
        help="run nothing of the archive here; its worker finds out what may be asked",
    )
    parser.add_argument(
        "--undo", action="store_true", help="give back the archive as it was before"
    )
    return parser


def _name(text: str) -> str:
    try:
        return checks.name(text)
    except checks.Unfit as unfit:
        raise argparse.ArgumentTypeError(str(unfit)) from None


if __name__ == "__main__":
    sys.exit(run())
