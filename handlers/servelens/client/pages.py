"""Activations that came in pages, put together: as if the answer had had room for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from servelens.client.errors import BadAnswer

Ask = Callable[[Mapping[str, Any]], Any]


def complete(document: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
    """`ask` gets a value of the key `activations` and gives the document for it, checked."""
    whole = [_complete(entry, ask) for entry in document.get("activations", ())]
    return {**document, "activations": whole}


def _complete(entry: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
    pages, missing = [entry], _missing(entry)
    while missing:
        wanted = {
            "layers": [entry["layer"]],
            "channels": missing,
            "statistics": False,
            "maps": entry.get("maps") is not None,
        }
        page = _only(ask(wanted)["activations"], entry["layer"])
        left = _missing(page)
        if len(left) >= len(missing):
            raise BadAnswer(f"the pages of {entry['layer']} do not end: {len(left)} channels stay")
        pages, missing = [*pages, page], left
    whole = {**entry, "channels": [channel for page in pages for channel in page["channels"]]}
    if len(pages) > 1 and entry.get("maps") is not None:
        whole["maps"] = np.concatenate([page["maps"] for page in pages])
    return {**whole, "next": None}


def _only(entries: Sequence[Any], layer: str) -> Any:
    if [entry["layer"] for entry in entries] != [layer]:
        raise BadAnswer(f"the next page of {layer} is not of that layer alone")
    return entries[0]


def _missing(entry: Mapping[str, Any]) -> list[int]:
    page = entry.get("next")
    return list(page["channels"]) if page else []
