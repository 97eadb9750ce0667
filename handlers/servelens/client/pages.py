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
        _check_page(page, missing, entry)
        pages, missing = [*pages, page], _missing(page)
    whole = {**entry, "channels": [channel for page in pages for channel in page["channels"]]}
    if len(pages) > 1 and entry.get("maps") is not None:
        whole["maps"] = np.concatenate([page["maps"] for page in pages])
    return {**whole, "next": None}


def _only(entries: Sequence[Any], layer: str) -> Any:
    if [entry["layer"] for entry in entries] != [layer]:
        raise BadAnswer(f"the next page of {layer} is not of that layer alone")
    return entries[0]


def _check_page(page: Mapping[str, Any], wanted: list[int], first: Mapping[str, Any]) -> None:
    """It has some of the channels wanted, names the others, and its maps are as the first's."""
    carried = [channel["index"] for channel in page["channels"]]
    if not carried or carried + _missing(page) != wanted:
        raise BadAnswer(f"a page of {first['layer']} has other channels than were asked for")
    maps, like = page.get("maps"), first.get("maps")
    wanted_shape = None if like is None else (len(carried), *like.shape[1:])
    if (None if maps is None else maps.shape) != wanted_shape:
        raise BadAnswer(f"a page of {first['layer']} has other maps than the first")


def _missing(entry: Mapping[str, Any]) -> list[int]:
    page = entry.get("next")
    return list(page["channels"]) if page else []
