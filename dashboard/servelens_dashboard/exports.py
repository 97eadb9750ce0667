"""Under which address and name a part of a page is saved or copied, and in which formats.

`/export/npz/explore?…&part=atlas` is the view's own address with which part of it is meant, so that
a link is all that a page needs; `/calls/curl/explore?…` is the call that it is the answer to. Which
parts there are is in export_parts.py. Pictures are saved by the browser, which knows how they look
there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from servelens.client.saving import harmless
from servelens_dashboard.url_state import PLAIN, View

FILES, CALLS = "/export", "/calls"
# Of a photo's name, enough to tell two files apart.
PHOTO_LETTERS = 8


@dataclass(frozen=True)
class Kind:
    """A format as a page offers it."""

    title: str
    media_type: str


KINDS: Mapping[str, Kind] = {
    "html": Kind("HTML report", "text/html; charset=utf-8"),
    "npz": Kind("npz", "application/x-npz"),
    "json": Kind("JSON", "application/json"),
}


def address(door: str, kind: str, view: View, part: str) -> str:
    mark = "&" if view.search else "?"
    return f"{door}/{kind}{view.href}{mark}part={quote(part, safe=PLAIN)}"


def file_name(view: View, part: str) -> str:
    """Without its suffix, of a view that has no more than the part is of; of names that others have
    chosen only what is harmless."""
    of = [*view.models, part, *view.methods, view.layer, view.channel]
    words = [str(word) for word in of if word is not None]
    return harmless(" ".join((*words, (view.photo or "")[:PHOTO_LETTERS])))
