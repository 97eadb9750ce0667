"""The recipes that come with the project, by name."""

from __future__ import annotations

from pathlib import Path

from servelens.protocol import did_you_mean
from servelens_archives.errors import BuildError

ARCHIVES = Path(__file__).resolve().parents[1]
RECIPES = ARCHIVES / "recipes"
IMAGENET_LABELS = RECIPES / "imagenet.json"


def recipe_names() -> list[str]:
    return sorted(file.stem for file in RECIPES.glob("*.toml"))


def shipped_recipe(name: str) -> Path:
    path = RECIPES / f"{name}.toml"
    if not path.is_file():
        raise BuildError(f"there is no recipe {name!r}; {did_you_mean(name, recipe_names())}")
    return path
