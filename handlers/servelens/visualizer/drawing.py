"""What a visualizer shows, as Matplotlib figures; none is ever shown or kept by pyplot."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from servelens import __version__
from servelens.client import Activation, NotSaved, Result
from servelens.client.colours import Scale
from servelens.client.extra import needs
from servelens.client.panels import photo_seen
from servelens.client.saving import write_whole
from servelens.palettes import palette
from servelens.protocol import Weights
from servelens.visualizer import sheets
from servelens.visualizer.further import box_seen, field_of, measured, words_of
from servelens.visualizer.sheets import Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[Any]
Table = Mapping[str, Mapping[str, Any]]
Size = tuple[float, float]
COLUMNS = 4
PANEL_INCHES = 2.6
LONGEST = 448
CHARTS = {
    "mean": "Mean activation",
    "std": "Standard deviation",
    "sparsity": "Share of zeros",
    "active_channels": "Active channels",
}


def feature_maps(entry: Activation, size: Size | None) -> Figure:
    """A panel for each channel, all on one scale."""
    return _grid(sheets.channels(entry), size)


def filters(entry: Weights, size: Size | None) -> Figure:
    return _grid(sheets.filters(entry), size)


def comparison(table: Table, size: Size | None = None) -> Figure:
    """Four charts: mean, standard deviation, sparsity and active channels of each row."""
    figure = _figure(size or (10, 7))
    for place, (name, title) in enumerate(CHARTS.items(), start=1):
        axes = figure.add_subplot(2, 2, place)
        axes.bar(range(len(table)), [row[name] for row in table.values()], color="#32436d")
        axes.set_xticks(range(len(table)), list(table), rotation=30, ha="right", parse_math=False)
        axes.set_title(title)
    return figure


def sensitivity(result: Result) -> Figure:
    """The photo, with what the unit can see at most, beside what of it moves the unit."""
    from matplotlib.patches import Rectangle

    field, seen = field_of(result), measured(result)
    figure = _figure((8, 4.4))
    left, right = figure.subplots(1, 2)
    photo = photo_seen(result, LONGEST)
    if photo is not None:
        left.imshow(np.asarray(photo))
    if (box := box_seen(result, LONGEST)) is not None:
        x0, y0, x1, y1 = box
        left.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="#d6604d"))
    left.set_title("what the model saw", fontsize="small")
    scale = Scale.of(seen, signed=False)
    drawn = _show(right, seen, scale)
    right.set_title(f"{words_of(field)}\n{scale.words()}", fontsize="small", parse_math=False)
    figure.colorbar(drawn, ax=right, shrink=0.8)
    for axes in (left, right):
        axes.set_axis_off()
    return figure


def similarity(matrix: Numbers, rows: Sequence[str], columns: Sequence[str]) -> Figure:
    figure = _figure((1.5 + 0.7 * len(columns), 1.5 + 0.5 * len(rows)))
    axes = figure.add_subplot()
    axes.imshow(matrix, cmap="cividis", vmin=0, vmax=1)
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right", parse_math=False)
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    for (row, column), value in np.ndenumerate(matrix):
        colour = "black" if value > 0.6 else "white"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
    axes.set_title("linear CKA")
    return figure


def attributions(result: Result) -> Figure:
    return result.to_matplotlib()


def save(figure: Figure, path: str | Path) -> None:
    """Whole or not at all, as an image of the kind that the path's suffix names."""
    suffix = Path(path).suffix.lower().lstrip(".")
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise NotSaved(f"{path} ends in none of {', '.join(f'.{kind}' for kind in known)}")
    about = {"Software": f"servelens {__version__}"} if suffix == "png" else None
    file = io.BytesIO()
    figure.savefig(file, format=suffix, metadata=about)
    write_whole(Path(path), file.getvalue())


def _grid(sheet: Sheet, size: Size | None) -> Figure:
    columns = min(COLUMNS, len(sheet.planes))
    rows = math.ceil(len(sheet.planes) / columns)
    figure = _figure(size or (PANEL_INCHES * columns, PANEL_INCHES * rows + 0.5))
    for place, (plane, title) in enumerate(zip(sheet.planes, sheet.titles, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        drawn = axes.imshow(plane) if sheet.scale is None else _show(axes, plane, sheet.scale)
        axes.set_title(title, fontsize="small")
        axes.set_axis_off()
    if sheet.scale is not None and not sheet.scale.is_zero:
        figure.colorbar(drawn, ax=figure.axes, shrink=0.6)
    figure.suptitle(sheet.words, fontsize="small", parse_math=False)
    return figure


def _show(axes: Axes, plane: Numbers, scale: Scale) -> Any:
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(palette(signed=scale.signed) / 255)
    return axes.imshow(plane, cmap=colours, vmin=scale.start, vmax=scale.end or 1)


def _figure(size: Size) -> Figure:
    with needs("matplotlib", "figures"):
        from matplotlib.figure import Figure
    return Figure(figsize=size, layout="constrained")
