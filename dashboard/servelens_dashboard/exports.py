"""What of a page can be saved or copied, under which address and name.

`/export/npz/explain?…&part=grad_cam` is the view's own address with what of it is meant, so that a
link is all that a page needs; `/calls/curl/explain?…` is the call that it is the answer to.
`&trust=1` is put to it in the browser where the map's trust card is there to be seen, and then the
file has it too (assets/exports.js). Pictures are saved by the browser, which knows how they look
there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from servelens.client.saving import harmless
from servelens_dashboard.url_state import PLAIN, View

FILES, CALLS = "/export", "/calls"
CARD = "trust"
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
    """Without its suffix; of names that others have chosen only what is harmless."""
    models = (str(model) for model in view.models)
    return harmless(" ".join((*models, part, (view.photo or "")[:PHOTO_LETTERS])))
