"""The names of a model's classes: a list, or a JSON file in either of the forms people have.

One is a list of names. The other is TorchServe's own `index_to_name.json`, in which each index is
a key and its value a name, or ImageNet's pair of WordNet id and name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from servelens.protocol import shorten
from servelens_archives.checks import Unfit, texts


def read_labels(value: Any, folder: Path) -> tuple[str, ...]:
    """Labels as a recipe gives them; a path is relative to the recipe's folder."""
    if isinstance(value, list):
        return _named(texts(value))
    if not isinstance(value, str):
        raise Unfit(f"must be a list of texts or the path of a JSON file, not {shorten(value)}")
    try:
        content = json.loads((folder / value).read_text(encoding="utf-8"))
    except OSError as error:
        raise Unfit(f"names the file {value!r}, which cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise Unfit(f"names the file {value!r}, which is not JSON in UTF-8") from None
    try:
        return _named(texts(content) if isinstance(content, list) else _from_mapping(content))
    except Unfit as error:
        raise Unfit(f"names the file {value!r}, whose content {error}") from None


def _from_mapping(content: Any) -> tuple[str, ...]:
    if not isinstance(content, dict):
        raise Unfit(
            f"must be a list of names or a mapping of index to name, not {shorten(content)}"
        )
    missing = [index for index in range(len(content)) if str(index) not in content]
    if missing:
        raise Unfit(f"has {len(content)} keys, so they must be '0' to '{len(content) - 1}'; "
                    f"'{missing[0]}' is missing")  # fmt: skip
    return texts([_name(content[str(index)]) for index in range(len(content))])


def _name(value: Any) -> Any:
    """TorchServe's stock handler too takes the last of a list."""
    return value[-1] if isinstance(value, list) and value else value


def _named(labels: tuple[str, ...]) -> tuple[str, ...]:
    if not labels:
        raise Unfit("must name at least one class")
    return labels
