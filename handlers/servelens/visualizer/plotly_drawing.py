"""The same figures as `drawing`, interactive: plotly's, whose files need no other file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from PIL import Image

from servelens.client import Activation, NotSaved, Result
from servelens.client.colours import Scale
from servelens.client.extra import needs
from servelens.client.panels import panels, photo_seen
from servelens.client.pictures import data_url
from servelens.client.saving import write_whole
from servelens.palettes import palette
from servelens.protocol import Weights
from servelens.visualizer import sheets
from servelens.visualizer.drawing import CHARTS, COLUMNS, LONGEST, Size
from servelens.visualizer.further import box_seen, field_of, measured, words_of
from servelens.visualizer.sheets import Sheet

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Numbers = NDArray[Any]
PIXELS_PER_INCH = 100
# Users' images are private: nothing is offered that would send them anywhere.
CONFIG = {"showSendToCloud": False, "displaylogo": False}


def feature_maps(entry: Activation, size: Size | None) -> Figure:
    return _grid(sheets.channels(entry), size)


def filters(entry: Weights, size: Size | None) -> Figure:
    return _grid(sheets.filters(entry), size)


def comparison(table: Mapping[str, Mapping[str, Any]], size: Size | None = None) -> Figure:
    figure = _subplots(list(CHARTS.values()), 2, size or (10, 7))
    for place, name in enumerate(CHARTS):
        heights = [row[name] for row in table.values()]
        bars = {"type": "bar", "x": list(map(_text, table)), "y": heights, "showlegend": False}
        _add(figure, bars, place, 2)
    return figure


def sensitivity(result: Result) -> Figure:
    field, seen = field_of(result), measured(result)
    scale = Scale.of(seen, signed=False)
    words = f"{words_of(field)}\n{scale.words()}".replace("\n", "<br>")
    figure = _subplots(["what the model saw", words], 2, (8, 4.4))
    photo = photo_seen(result, LONGEST)
    if photo is not None:
        _picture(figure, photo, 0, 2)
    if (box := box_seen(result, LONGEST)) is not None:
        corners = dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
        figure.add_shape(type="rect", line_color="#d6604d", row=1, col=1, **corners)
    _heat(figure, seen, scale, 1, 2)
    return figure


def similarity(matrix: Numbers, rows: Sequence[str], columns: Sequence[str]) -> Figure:
    figure = _subplots(["linear CKA"], 1, (1.5 + 0.7 * len(columns), 1.5 + 0.5 * len(rows)))
    heat = {"type": "heatmap", "z": matrix, "zmin": 0, "zmax": 1, "colorscale": "cividis"}
    names = {"x": list(map(_text, columns)), "y": list(map(_text, rows))}
    figure.add_trace({**heat, **names, "texttemplate": "%{z:.2f}"})
    return figure.update_yaxes(autorange="reversed")


def attributions(result: Result) -> Figure:
    drawn = [panel for panel in panels(result, LONGEST) if panel.picture is not None]
    columns = min(COLUMNS, len(drawn))
    titles = [f"{panel.title}<br>{panel.caption}" for panel in drawn]
    figure = _subplots(titles, columns, _size(len(drawn)))
    for place, panel in enumerate(drawn):
        assert panel.picture is not None
        _picture(figure, panel.picture, place, columns)
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """A page of its own, plotly's script in it, or plotly's JSON."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".html", ".json"):
        raise NotSaved(f"{path}: a plotly figure is saved as .html or .json")
    page = suffix == ".html"
    body = figure.to_html(config=CONFIG, include_plotlyjs=True) if page else figure.to_json()
    write_whole(Path(path), body.encode())


def _grid(sheet: Sheet, size: Size | None) -> Figure:
    columns = min(COLUMNS, len(sheet.planes))
    titles = [title.replace("\n", ", ") for title in sheet.titles]
    figure = _subplots(titles, columns, size or _size(len(sheet.planes)))
    for place, plane in enumerate(sheet.planes):
        if sheet.scale is None:
            colours = {"type": "image", "z": (plane * 255).round()}
            _add(figure, colours, place, columns)
        else:
            _heat(figure, plane, sheet.scale, place, columns)
    return figure.update_layout(title=_text(sheet.words))


def _heat(figure: Figure, plane: Numbers, scale: Scale, place: int, columns: int) -> None:
    colours = [
        [i / 255, f"rgb{tuple(c.tolist())}"] for i, c in enumerate(palette(signed=scale.signed))
    ]
    heat = {"type": "heatmap", "z": plane, "zmin": scale.start, "zmax": scale.end or 1}
    only_once = not any(trace.type == "heatmap" for trace in figure.data)
    _add(figure, {**heat, "colorscale": colours, "showscale": only_once}, place, columns)
    row, column = place // columns + 1, place % columns + 1
    figure.update_yaxes(autorange="reversed", scaleanchor=f"x{place + 1}", row=row, col=column)


def _picture(figure: Figure, picture: Image.Image, place: int, columns: int) -> None:
    shown = {"type": "image", "source": data_url(picture.convert("RGB"))}
    _add(figure, shown, place, columns)


def _add(figure: Figure, trace: Mapping[str, Any], place: int, columns: int) -> None:
    figure.add_trace(trace, row=place // columns + 1, col=place % columns + 1)


def _subplots(titles: Sequence[str], columns: int, size: Size) -> Figure:
    with needs("plotly", "interactive figures"):
        from plotly.subplots import make_subplots
    rows = math.ceil(len(titles) / columns)
    figure = make_subplots(rows, columns, subplot_titles=list(map(_text, titles)))
    width, height = (round(inches * PIXELS_PER_INCH) for inches in size)
    return figure.update_layout(width=width, height=height)


def _size(count: int) -> Size:
    columns = min(COLUMNS, count)
    return 2.6 * columns, 2.6 * math.ceil(count / columns) + 0.8


def _text(words: str) -> str:
    """Plotly reads some HTML in its texts, and labels come from a server."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace("&lt;br>", "<br>")
