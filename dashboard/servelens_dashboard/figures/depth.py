"""How a photo's activations change from layer to layer, of one model or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from servelens.protocol import Activation, Statistics
from servelens_dashboard.figures import look
from servelens_dashboard.figures.look import LIGHT, Theme, brief, number, plain
from servelens_dashboard.figures.twin import Cell, Twin

Models = Mapping[str, Sequence[Activation]]

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
PANEL = 84
GAP = 0.09
MOST_NAMES = 10


@dataclass(frozen=True)
class Measure:
    title: str
    read: Callable[[Statistics], float]
    is_share: bool = False


MEASURES = (
    Measure("mean", lambda s: s.mean),
    Measure("std", lambda s: s.std),
    Measure("exact zeros", lambda s: s.sparsity, is_share=True),
    Measure("active channels", lambda s: s.active_channels / max(1, s.num_channels), is_share=True),
)


def draw(models: Models, chosen: str | None = None, theme: Theme = LIGHT) -> go.Figure:
    """A small graph for each measure over one axis of layers; `customdata` is a point's layer.
    Models of several depths are set at equal shares of their depth."""
    told = {model: _told(layers) for model, layers in models.items()}
    longest: Sequence[tuple[str, Statistics]] = max(told.values(), key=len, default=[])
    drawn = look.figure(
        theme,
        height=PANEL * len(MEASURES) + 40,
        margin=look.sides(left=8, right=12, top=44 if len(models) > 1 else 16, bottom=4),
        showlegend=len(models) > 1,
        hovermode="closest",
        legend={"y": 1.06},
        xaxis=_layers([layer for layer, _ in longest]),
    )
    if not longest:
        return drawn.add_annotation(look.note("no statistics were asked for", theme))
    height = (1 - GAP * (len(MEASURES) - 1)) / len(MEASURES)
    for row, measure in enumerate(MEASURES):
        top = 1 - row * (height + GAP)
        axis = "y" if row == 0 else f"y{row + 1}"
        drawn.update_layout({axis.replace("y", "yaxis"): _axis(measure, top - height, top)})
        drawn.add_annotation(_title(measure, top, theme))
        for number_of, (model, layers) in enumerate(told.items()):
            line = {"color": theme.quiet if number_of else theme.accent, "width": 1.5}
            line["dash"] = DASHES[number_of % len(DASHES)]
            trace = _line(model, measure, layers, places(len(layers), len(longest)))
            drawn.add_trace({**trace, "yaxis": axis, "line": line, "showlegend": row == 0})
    places_of = {layer: place for place, (layer, _) in enumerate(longest)}
    if chosen in places_of:
        edge = {"color": theme.quiet, "width": 1}
        place = {"x0": places_of[chosen], "x1": places_of[chosen], "yref": "paper"}
        drawn.add_shape(type="line", y0=0, y1=1, line=edge, layer="below", **place)
    return drawn


def tell(models: Models) -> Twin:
    several = len(models) > 1
    rows: list[dict[str, Cell]] = []
    said: list[str] = []
    for model, layers in models.items():
        own = [_row(layer, statistics) for layer, statistics in _told(layers)]
        which: dict[str, Cell] = {"model": model} if several else {}
        rows += [{**which, **row} for row in own]
        if own:
            said.append(f"{f'{model}, ' if several else ''}{_zeros(own)}")
    if not rows:
        return Twin("No statistics were asked for.")
    return Twin(f"Statistics of {'; of '.join(said)}.", tuple(rows))


def _zeros(rows: Sequence[Mapping[str, Cell]]) -> str:
    first, last = (
        f"{row['layer']}: {number(float(row['exact zeros']))}" for row in (rows[0], rows[-1])
    )
    return f"{len(rows)} layers, share of exact zeros from {first} to {last}"


def _told(layers: Sequence[Activation]) -> list[tuple[str, Statistics]]:
    return [(layer.layer, layer.statistics) for layer in layers if layer.statistics is not None]


def places(count: int, of: int) -> list[float]:
    """From the first layer to the last of the longest model, evenly."""
    return [place * (of - 1) / max(1, count - 1) for place in range(count)]


def _line(
    model: str,
    measure: Measure,
    layers: Sequence[tuple[str, Statistics]],
    across: Sequence[float],
) -> dict[str, Any]:
    values = [measure.read(statistics) for _, statistics in layers]
    form = ".0%" if measure.is_share else ".3g"
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "marker": {"size": 6},
        "name": plain(model),
        "x": list(across),
        "y": values,
        "customdata": [layer for layer, _ in layers],
        "text": [plain(layer) for layer, _ in layers],
        "hovertemplate": f"%{{text}}<br>{measure.title} %{{y:{form}}}<extra></extra>",
    }


def _axis(measure: Measure, bottom: float, top: float) -> dict[str, Any]:
    shares = {"range": [-0.06, 1.06], "tickvals": [0, 0.5, 1], "tickformat": ".0%"}
    usual = {"nticks": 4, "rangemode": "tozero", "tickformat": "~g"}
    return {"domain": [max(0.0, bottom), top], **(shares if measure.is_share else usual)}


def _layers(names: Sequence[str]) -> dict[str, Any]:
    """As many names as can be read, the last always one of them."""
    step = max(1, -(-len(names) // MOST_NAMES))
    shown = sorted(range(len(names) - 1, -1, -step))
    return {
        "tickvals": shown,
        "ticktext": [plain(brief(names[place].split(".")[-1], 14)) for place in shown],
        "range": [-0.3, max(0, len(names) - 1) + 0.3],
        "anchor": "free",
        "position": 0,
        "showgrid": False,
    }


def _title(measure: Measure, top: float, theme: Theme) -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": top, "showarrow": False}
    ends = {"xanchor": "left", "yanchor": "bottom"}
    return {
        "text": measure.title,
        "font": {"color": theme.quiet, "size": look.SMALL},
        **place,
        **ends,
    }


def _row(layer: str, statistics: Statistics) -> dict[str, Cell]:
    return {
        "layer": layer,
        "mean": statistics.mean,
        "std": statistics.std,
        "min": statistics.min,
        "max": statistics.max,
        "exact zeros": statistics.sparsity,
        "active channels": statistics.active_channels,
        "channels": statistics.num_channels,
        "dead channels": statistics.dead_channels,
    }
