"""Text to HTML, in one place only: labels and messages come from a server and may hold anything."""

from __future__ import annotations

import html
from collections.abc import Iterable

VOID = ("br", "img", "meta")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *parts: str, **attributes: str) -> Markup:
    """Parts that are no Markup are text, and so are attributes."""
    inner = "".join(part if isinstance(part, Markup) else html.escape(part) for part in parts)
    given = "".join(f' {key}="{html.escape(value)}"' for key, value in attributes.items())
    end = "" if name in VOID else f"</{name}>"
    return Markup(f"<{name}{given}>{inner}{end}")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Markup:
    top = element("tr", *(element("th", name, scope="col") for name in head))
    body = [element("tr", *(element("td", cell) for cell in row)) for row in rows]
    return element("table", element("thead", top), element("tbody", *body))
