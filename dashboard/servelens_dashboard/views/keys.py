"""The list of keys, which `?` opens; what they do is in assets/keys.js."""

from __future__ import annotations

from dash import html

KEYS = (
    ("1 … 9", "explain the first, second … class"),
    ("Shift and a click", "set a class against the present one"),
    ("[ and ]", "fade the map, or bring it out"),
    ("↑ and ↓", "the layer before, the layer after"),
    ("← and →", "the channel before, the channel after"),
    ("p", "play through the network, or stop"),
    ("c", "copy a link to what is shown"),
    ("?", "this list; Escape closes it"),
)


def key_list() -> html.Dialog:
    rows = [html.Tr([html.Th(html.Kbd(key), scope="row"), html.Td(does)]) for key, does in KEYS]
    return html.Dialog(
        [
            html.H2("Keys", id="keys-title"),
            html.Table(html.Tbody(rows), className="facts"),
            html.Form(html.Button("Close", className="button"), method="dialog"),
        ],
        id="keys",
        **{"aria-labelledby": "keys-title"},
    )
