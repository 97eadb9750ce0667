"""Deletion and insertion against random: what a class keeps of its score without the photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from servelens_dashboard.figures import look
from servelens_dashboard.figures.look import LIGHT, Theme, number
from servelens_dashboard.figures.twin import Twin

HEIGHT = 200
GAP = 0.14


@dataclass(frozen=True)
class Curves:
    """The class's probability after each step, from the first (nothing done) to the last."""

    deletion: Sequence[float]
    insertion: Sequence[float]
    random_deletion: Sequence[float]
    random_insertion: Sequence[float]

    def __post_init__(self) -> None:
        lengths = {len(curve) for curve in self._all}
        if len(lengths) != 1 or min(lengths) < 2:
            raise ValueError(f"curves need as many steps each, at least two, not {sorted(lengths)}")

    @property
    def _all(self) -> tuple[Sequence[float], ...]:
        return self.deletion, self.insertion, self.random_deletion, self.random_insertion

    @property
    def shares(self) -> list[float]:
        """How much of the photo each step has come to."""
        last = len(self.deletion) - 1
        return [step / last for step in range(last + 1)]


def draw(curves: Curves, theme: Theme = LIGHT) -> go.Figure:
    drawn = look.figure(
        theme,
        height=HEIGHT,
        margin=look.sides(left=8, right=8, top=40, bottom=4),
        legend={"y": 1.14},
    )
    half = (1 - GAP) / 2
    pairs = (
        ("removed", curves.deletion, curves.random_deletion),
        ("shown", curves.insertion, curves.random_insertion),
    )
    for column, (done, marked, random) in enumerate(pairs):
        start = column * (half + GAP)
        suffix = str(column + 1) if column else ""
        drawn.update_layout(
            {
                f"xaxis{suffix}": _shares(f"of the photo {done}", start, start + half, suffix),
                f"yaxis{suffix}": _probability(suffix),
            }
        )
        grey = {"color": theme.quiet, "dash": "dot", "width": 1.5}
        accent = {"color": theme.accent, "width": 2}
        drawn.add_trace(_line("at random", curves.shares, random, grey, suffix))
        drawn.add_trace(_line("as marked", curves.shares, marked, accent, suffix))
    return drawn


def tell(curves: Curves) -> Twin:
    """The areas under the curves are by trapezoids, in [0, 1]."""
    names = ("deletion", "insertion", "random deletion", "random insertion")
    found = dict(zip(names, map(area, curves._all), strict=True))
    caption = (
        f"Removing what the map marks first leaves {number(found['deletion'])} of the score on "
        f"average, at random {number(found['random deletion'])}; showing it first gives "
        f"{number(found['insertion'])}, at random {number(found['random insertion'])}."
    )
    steps = zip(curves.shares, *curves._all, strict=True)
    return Twin(
        caption,
        tuple(
            {"share of the photo": share, **dict(zip(names, map(float, values), strict=True))}
            for share, *values in steps
        ),
    )


def area(curve: Sequence[float]) -> float:
    """Under a curve of equal steps over [0, 1]."""
    inner = sum(curve) - (curve[0] + curve[-1]) / 2
    return float(inner / (len(curve) - 1))


def _line(
    name: str, shares: Sequence[float], curve: Sequence[float], line: dict[str, Any], suffix: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "showlegend": not suffix,
        "x": list(shares),
        "y": list(curve),
        "line": line,
        "xaxis": f"x{suffix}",
        "yaxis": f"y{suffix}",
        "hovertemplate": f"{name}<br>%{{x:.0%}} of the photo"
        "<br>probability %{y:.3g}<extra></extra>",
    }


def _shares(title: str, start: float, end: float, suffix: str) -> dict[str, Any]:
    return {
        "title": {"text": title},
        "domain": [start, end],
        "range": [0, 1],
        "tickvals": [0, 0.5, 1],
        "tickformat": ".0%",
        "anchor": f"y{suffix}",
    }


def _probability(suffix: str) -> dict[str, Any]:
    return {"range": [-0.03, 1.03], "tickvals": [0, 0.5, 1], "anchor": f"x{suffix}"}
