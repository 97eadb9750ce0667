"""The command behind `scripts/build`: recipes in, archives out.

python -m servelens_archives.build resnet18 --weights none --out store
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from servelens.protocol import did_you_mean
from servelens_archives.builder import build
from servelens_archives.errors import BuildError
from servelens_archives.recipe import DEFAULT_WEIGHTS, NO_WEIGHTS, VARIANTS, load_recipe
from servelens_archives.weights import SUFFIXES

ARCHIVES = Path(__file__).resolve().parents[1]
RECIPES = ARCHIVES / "recipes"
STORE = ARCHIVES / "store"


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
            path = _build_one(name, asked, screen)
        except BuildError as error:
            screen.print(f"  error: {error}", style="red", markup=False, soft_wrap=True)
            failed += 1
        else:
            sys.stdout.write(f"{path}\n")
            sys.stdout.flush()
    return 1 if failed else 0


def find_recipe(name: str) -> Path:
    """A TOML file, or the stem of one of the recipes that come with the project."""
    if name.endswith(".toml"):
        return Path(name)
    path = RECIPES / f"{name}.toml"
    if not path.is_file():
        raise BuildError(f"there is no recipe {name!r}; {did_you_mean(name, recipe_names())}")
    return path


def recipe_names() -> list[str]:
    """Of the recipes that come with the project."""
    return sorted(file.stem for file in RECIPES.glob("*.toml"))


def _build_one(name: str, asked: argparse.Namespace, screen: Console) -> Path:
    recipe = load_recipe(find_recipe(name))
    return build(
        recipe,
        asked.out,
        weights=asked.weights,
        seed=asked.seed,
        variant=asked.variant,
        report=lambda text: screen.print(f"  {text}", style="dim", markup=False, soft_wrap=True),
    )


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Build archives from recipes.",
        epilog=f"Recipes by name: {', '.join(recipe_names())}.",
    )
    parser.add_argument(
        "recipes", nargs="+", metavar="RECIPE", help="a TOML file, or the name of a recipe"
    )
    parser.add_argument(
        "--weights",
        metavar="default|none|FILE",
        type=_weights,
        help="instead of the recipe's: torchvision's, random ones, or a file of weights "
        f"({', '.join(SUFFIXES)})",
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
