"""Recipes: those that may be built by name, and those that people drop.

A dropped one comes from anywhere. It may say what torchvision has and which numbers it is fed with;
a path of this machine, to Python code or to a file's content, it may not.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from servelens_dashboard.settings import Settings
from servelens_dashboard.workshop.drawer import BadFile, Item

WEIGHTS = ("default", "none")


def shipped(settings: Settings) -> Mapping[str, Path]:
    folder = settings.recipes
    return {path.stem: path for path in sorted(folder.glob("*.toml"))} if folder else {}


def read(item: Item, *, confined: bool) -> Mapping[str, Any]:
    """Raises `BadFile` for what is no recipe, or where confined names a file of this machine."""
    try:
        table = tomllib.loads(item.file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadFile(
            f"The file {item.file.name} is no recipe that can be read: {error}."
        ) from error
    for section, key, what in _paths(table) if confined else ():
        raise BadFile(
            f"The file {item.file.name} says {key} = {what!r} in [{section}], a file that did not "
            "come with it. Build it where that file is, with scripts/build, and drop the .mar."
        )
    return table


def _paths(table: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    model, output, lens = (_section(table, name) for name in ("model", "output", "lens"))
    found = [("model", key, model[key]) for key in ("file", "class") if key in model]
    if model.get("weights", WEIGHTS[0]) not in WEIGHTS:
        found.append(("model", "weights", model["weights"]))
    if isinstance(output.get("labels"), str):
        found.append(("output", "labels", output["labels"]))
    if "images" in lens:
        found.append(("lens", "images", lens["images"]))
    return found


def _section(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = table.get(name, {})
    return section if isinstance(section, Mapping) else {}
