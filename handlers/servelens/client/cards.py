"""A trust card in HTML: a sentence first, the verdicts, then the curves with their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from servelens.client import verdict
from servelens.client.markup import Markup, element, table
from servelens.client.wording import number
from servelens.protocol import TrustCard, TrustCurves

WIDTH, HEIGHT = 240, 120
# Around a curve's own room, for the numbers at its axes.
LEFT, TOP, BELOW, GAP = 28, 8, 36, 24
SMALL = "11px system-ui, sans-serif"
# In the ink of the page, light or dark.
MARKED = {"fill": "none", "stroke": "currentColor", "stroke-width": "2"}
RANDOM = {**MARKED, "stroke-width": "1.5", "stroke-dasharray": "2 3"}
AXIS = {**MARKED, "stroke-width": "1", "opacity": "0.3"}
KEY = "The line is as the map marks, the dots are at random."


def card(title: str, found: TrustCard) -> Markup:
    return element("section", *_parts(title, found))


def _parts(title: str, found: TrustCard) -> Iterator[Markup]:
    deletion = found.curves.deletion if found.curves else ()
    findings = verdict.findings(found, next(iter(deletion), 0.0))
    yield element("h3", f"Is it to be believed? {title}")
    yield element("p", verdict.sentence(findings))
    yield element("ul", *(element("li", f"{f.check}: {f.verdict}") for f in findings))
    if found.curves is not None:
        yield from _curves(found, found.curves)
    yield _folded("The numbers", _numbers(found))
    if reasons := verdict.not_checked(found, found.compared_with):
        yield _folded("Not checked", element("ul", *(element("li", why) for why in reasons)))


def _numbers(found: TrustCard) -> Markup:
    """Each with what to hold it against."""
    rows = (
        (name.replace("_", " "), number(value), found.compared_with.get(name, ""))
        for name, value in vars(found).items()
        if isinstance(value, float)
    )
    return table(("check", "number", "compared with"), rows)


def _curves(found: TrustCard, curves: TrustCurves) -> Iterator[Markup]:
    pairs = (
        ("removed", curves.deletion, curves.random_deletion),
        ("shown", curves.insertion, curves.random_insertion),
    )
    words = f"The probability while the photo is removed and while it is shown, step by step. {KEY}"
    width = len(pairs) * (LEFT + WIDTH) + GAP
    height = TOP + HEIGHT + BELOW
    drawn = [
        part
        for place, (done, marked, random) in enumerate(pairs)
        for part in _plot(place * (LEFT + WIDTH + GAP) + LEFT, done, marked, random)
    ]
    about = {"viewBox": f"0 0 {width} {height}", "width": str(width), "style": "max-width:100%"}
    picture = element("svg", *drawn, role="img", **{"aria-label": words}, **about)
    yield element("figure", picture, element("figcaption", words), style="margin:8px 0")
    yield _folded("The curves as numbers", _steps(curves))


def _plot(left: int, done: str, marked: Sequence[float], random: Sequence[float]) -> list[Markup]:
    bottom, right = TOP + HEIGHT, left + WIDTH
    return [
        element("path", d=f"M{left},{TOP}V{bottom}H{right}", **AXIS),
        _text("1", left - 6, TOP + 4, "end"),
        _text("0", left - 6, bottom + 4, "end"),
        _text("0 %", left, bottom + 16, "start"),
        _text("100 %", right, bottom + 16, "end"),
        _text(f"of the photo {done}", left + WIDTH // 2, bottom + 30, "middle"),
        element("polyline", points=_points(left, random), **RANDOM),
        element("polyline", points=_points(left, marked), **MARKED),
    ]


def _points(left: int, curve: Sequence[float]) -> str:
    """As many steps as there are numbers, over all of the width."""
    last = max(1, len(curve) - 1)
    places = ((left + WIDTH * i / last, TOP + HEIGHT * (1 - y)) for i, y in enumerate(curve))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _text(words: str, x: int, y: int, anchor: str) -> Markup:
    place = {"x": str(x), "y": str(y), "text-anchor": anchor}
    return element("text", words, **place, style=f"font:{SMALL};fill:currentColor")


def _steps(curves: TrustCurves) -> Markup:
    named = vars(curves)
    last = max(1, len(curves.deletion) - 1)
    steps = enumerate(zip(*named.values(), strict=False))
    rows = ((f"{step / last:.0%}", *map(number, values)) for step, values in steps)
    return table(("of the photo", *(name.replace("_", " ") for name in named)), rows)


def _folded(summary: str, inside: Markup) -> Markup:
    return element("details", element("summary", summary), inside)
