"""The command behind `scripts/build`: recipes, or files of weights, in; archives out.

python -m servelens_archives.build resnet18 --weights none --out store
python -m servelens_archives.build birds.pt --set 'output.labels=["owl","wren"]'
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from servelens.protocol import shorten
from servelens_archives.builder import build
from servelens_archives.errors import BuildError
from servelens_archives.examples import MOST
from servelens_archives.foreign import SUFFIXES, look_at
from servelens_archives.recipe import (
    DEFAULT_WEIGHTS,
    NO_WEIGHTS,
    VARIANTS,
    read_table,
    recipe_of,
)
from servelens_archives.shipped import ARCHIVES, recipe_names, shipped_recipe
from servelens_archives.spelling import as_toml

STORE = ARCHIVES / "store"
IMAGES_KEY = "lens.images"


def run(arguments: Sequence[str] | None = None, prog: str = "scripts/build") -> int:
    return until_stopped(lambda: main(arguments, prog))


def until_stopped(command: Callable[[], int]) -> int:
    """A command's own `main`: a signal that ends it lets nothing lie about."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        return command()
    except KeyboardInterrupt:
        return 130


def main(arguments: Sequence[str] | None = None, prog: str = "scripts/build") -> int:
    asked = _parser(prog).parse_args(arguments)
    screen = Console(stderr=True, highlight=False)
    failed = 0
    for name in asked.recipes:
        screen.print(name, style="bold", markup=False)
        try:
            printed = _build_one(name, asked, screen)
        except BuildError as error:
            screen.print(f"  error: {error}", style="red", markup=False, soft_wrap=True)
            failed += 1
        else:
            sys.stdout.write(printed)
            sys.stdout.flush()
    return 1 if failed else 0


def find_recipe(name: str) -> Path:
    """A file, or the stem of one of the recipes that come with the project."""
    return Path(name) if Path(name).suffix in (".toml", *SUFFIXES) else shipped_recipe(name)


def with_values(table: Mapping[str, Any], pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The recipe's table with other values; a key is dotted, as in input.size."""
    changed = deepcopy(dict(table))
    for key, value in pairs:
        *sections, last = key.split(".")
        inner = changed
        for section in sections:
            inner = inner.setdefault(section, {})
            if not isinstance(inner, dict):
                raise BuildError(f"{key} cannot be set, for {section} is no section of the recipe")
        inner[last] = value
    return changed


def _build_one(name: str, asked: argparse.Namespace, screen: Console) -> str:
    """What is printed: where the archive is, or the recipe."""
    path = find_recipe(name)
    tell = partial(screen.print, style="dim", markup=False, soft_wrap=True)
    table, findings = _table(path, dict(asked.values))
    for finding in findings:
        tell(f"  {finding}")
    table = with_values(table, [*asked.values, *asked.images])
    if asked.print_recipe:
        return as_toml(table, findings)
    archive = build(
        recipe_of(table, path.resolve().parent, path.name),
        asked.out,
        weights=asked.weights,
        seed=asked.seed,
        variant=asked.variant,
        report=lambda text: tell(f"  {text}"),
    )
    return f"{archive}\n"


def _table(path: Path, values: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """What a recipe says; for weights without one, what was found in them, and how."""
    if path.suffix not in SUFFIXES:
        return read_table(path), ()
    drafted = look_at(path, values.get("model.architecture"))
    return drafted.table, drafted.findings


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Build archives from recipes, or from weights alone.",
        epilog=f"Recipes by name: {', '.join(recipe_names())}.",
    )
    parser.add_argument(
        "recipes",
        nargs="+",
        metavar="RECIPE",
        help="a TOML file, the name of a recipe, or a file of weights whose recipe is then guessed",
    )
    parser.add_argument(
        "--set",
        dest="values",
        action="append",
        default=[],
        type=_value,
        metavar="KEY=VALUE",
        help='instead of the recipe\'s, as input.size=128 or output.labels=["cat","dog"]; '
        "repeatable",
    )
    parser.add_argument(
        "--print-recipe", action="store_true", help="print the recipe that would be built"
    )
    parser.add_argument(
        "--weights",
        metavar="default|none|FILE",
        type=_weights,
        help="instead of the recipe's: torchvision's, random ones, or a file of weights "
        f"({', '.join(SUFFIXES)})",
    )
    parser.add_argument(
        "--images",
        action="append",
        default=[],
        type=_images,
        metavar="DIR",
        help="choose the method to explain with by default from trust cards on the photos there, "
        f"{MOST} at most; NAME.mask.png beside a photo says where its true cause is. The archive "
        "keeps the numbers and the reason; a default_plan of the recipe stays",
    )
    parser.add_argument("--seed", type=_seed, default=0, help="of the random weights (default 0)")
    parser.add_argument("--variant", choices=VARIANTS, help="for a queue of its own")
    parser.add_argument(
        "--out", type=Path, default=STORE, metavar="DIR", help="default: archives/store"
    )
    return parser


def _weights(text: str) -> str:
    """A path on the command line is relative to where the command is given."""
    return text if text in (DEFAULT_WEIGHTS, NO_WEIGHTS) else str(Path(text).resolve())


def _images(text: str) -> tuple[str, str]:
    return IMAGES_KEY, str(Path(text).resolve())


def _value(text: str) -> tuple[str, Any]:
    """JSON where it parses, else text."""
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise argparse.ArgumentTypeError(f"{shorten(text)} is no KEY=VALUE such as input.size=128")
    try:
        return key, json.loads(value)
    except (ValueError, RecursionError):
        return key, value


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 2**63:
        raise argparse.ArgumentTypeError(f"must be from 0 to 2**63 - 1, not {text}")
    return seed


def _stop(number: int, frame: FrameType | None) -> None:
    """As an exception, so that temporary folders and half a file are cleared away."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(run())
