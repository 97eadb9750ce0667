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

# As people call what they save with their weights.
BESIDE = ("classes", "class_names", "labels", "class_to_idx", "idx_to_class", "id2label")
LONGEST_NAME = 200


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


def labels_beside(content: Any, classes: int) -> tuple[str, tuple[str, ...]] | None:
    """The names that a checkpoint keeps beside its weights, and under which key, if it does."""
    for key in BESIDE:
        found = _in_order(content.get(key)) if isinstance(content, dict) else None
        if found is not None and len(found) == classes and all(map(_is_name, found)):
            return key, tuple(found)
    return None


def _in_order(value: Any) -> list[Any] | None:
    """A list of names, or a mapping between names and indices, either way round."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if not isinstance(value, dict):
        return None
    by_index = {index: name for name, index in value.items() if type(index) is int} or {
        int(index): name for index, name in value.items() if str(index).isdecimal()
    }
    whole = by_index.keys() == set(range(len(value)))
    return [by_index[index] for index in range(len(value))] if whole else None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME


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
