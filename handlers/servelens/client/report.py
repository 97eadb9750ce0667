"""Results as one page that stands for itself: no script, no other file, and nothing it could fetch.

It has the photo that the model saw, the maps over it, each with its trust card where one was asked
for, the predictions, the request as it was sent and where all of it comes from. Whoever is handed
the file opens it in any browser.
"""

from __future__ import annotations

import hashlib
import json

from servelens import __version__, codec
from servelens.client.html import show
from servelens.client.markup import Markup, element, table
from servelens.client.results import Origin, Result, Showable
from servelens.protocol import to_wire

LONGEST = 448
# Pictures stand in the page itself; everything else a browser might fetch for it is refused.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 32px auto; padding: 0 16px;
  font-variant-numeric: tabular-nums; }
h1 { font-size: 22px; } h2 { font-size: 17px; margin-top: 32px; } h3 { font-size: 15px; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: 8px 0; }
th, td { text-align: left; padding: 2px 16px 2px 0; font-weight: 400; vertical-align: baseline; }
th { opacity: 0.7; } td { overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: 12px; border: 1px solid; border-radius: 4px; }
"""


def report(*results: Showable) -> bytes:
    title = ", ".join(result.title for result in results)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", **{"http-equiv": "Content-Security-Policy", "content": POLICY}),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    body = element("body", element("h1", title), *map(_section, results))
    page = f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"
    # A lone surrogate, as a broken label may hold, is no UTF-8.
    return page.encode("utf-8", "replace")


def _section(result: Showable) -> Markup:
    parts = [show(result, LONGEST)]
    if result.origin is not None:
        parts += _provenance(result, result.origin)
    return element("section", *parts)


def _provenance(result: Showable, origin: Origin) -> list[Markup]:
    photo = None if origin.photo is None else hashlib.sha256(origin.photo).hexdigest()
    told = {
        "model": f"{origin.model.name} {origin.model.version}",
        "archive": origin.model.digest,
        "photo": "none" if photo is None else f"sha256:{photo}",
        "made by": f"servelens {__version__}",
    }
    if isinstance(result, Result):
        cost = result.cost
        told["cost"] = f"{cost.forwards} forward and {cost.backwards} backward passes"
    asked = json.dumps(codec.pack_json(to_wire(origin.asked)), indent=2, ensure_ascii=False)
    return [
        element("h2", "Where it comes from"),
        table(("what", "which"), told.items()),
        element("h2", "What was asked"),
        element("pre", asked),
    ]
