"""What a visualizer shows, as Matplotlib figures; none is ever shown or kept by pyplot."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from servelens import __version__
from servelens.client import Activation, NotSaved, Result
from servelens.client.colours import Scale, as_plane, palette
from servelens.client.extra import needs
from servelens.client.saving import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[Any]
Table = Mapping[str, Mapping[str, Any]]
Size = tuple[float, float]
COLUMNS = 4
PANEL_INCHES = 2.6
CHARTS = {
    "mean": "Mean activation",
    "std": "Standard deviation",
    "sparsity": "Share of zeros",
    "active_channels": "Active channels",
}


def feature_maps(entry: Activation, size: Size | None) -> Figure:
    """A panel for each channel, all on one scale."""
    maps = [as_plane(channel) for channel in entry.to_numpy()]
    scale = Scale.of(np.stack(maps), signed=False)
    titles = [f"channel {channel.index}\nmean {channel.mean:.3f}" for channel in entry.channels]
    figure = _grid(maps, titles, scale, size)
    figure.suptitle(f"{entry.title}, {scale.words()}", fontsize="small", parse_math=False)
    return figure


def filters(kernels: Numbers, title: str, size: Size | None) -> Figure:
    """First-layer kernels in colour, others a panel each on one scale that is white at zero."""
    planes = [as_plane(kernel) for kernel in kernels]
    scale = Scale.of(np.stack(planes), signed=True)
    figure = _grid(planes, [f"filter {index}" for index in range(len(planes))], scale, size)
    figure.suptitle(f"{title}, {scale.words()}", fontsize="small", parse_math=False)
    return figure


def comparison(table: Table, size: Size | None = None) -> Figure:
    """Four charts: mean, standard deviation, sparsity and active channels of each row."""
    figure = _figure(size or (10, 7))
    for place, (name, title) in enumerate(CHARTS.items(), start=1):
        axes = figure.add_subplot(2, 2, place)
        axes.bar(range(len(table)), [row[name] for row in table.values()], color="#32436d")
        axes.set_xticks(range(len(table)), list(table), rotation=30, ha="right", parse_math=False)
        axes.set_title(title)
    return figure


def sensitivity(photo: Image.Image, seen: Numbers, words: str, size: Size | None) -> Figure:
    """The photo beside what of it moves the unit."""
    figure = _figure(size or (8, 4.2))
    left = figure.add_subplot(1, 2, 1)
    left.imshow(np.asarray(photo))
    left.set_title("what the model saw")
    right = figure.add_subplot(1, 2, 2)
    _show(right, seen, Scale.of(seen, signed=bool((seen < 0).any())))
    right.set_title(words, fontsize="small", parse_math=False)
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


def _grid(
    planes: Sequence[Numbers], titles: Sequence[str], scale: Scale, size: Size | None
) -> Figure:
    columns = min(COLUMNS, len(planes))
    rows = math.ceil(len(planes) / columns)
    figure = _figure(size or (PANEL_INCHES * columns, PANEL_INCHES * rows + 0.5))
    for place, (plane, title) in enumerate(zip(planes, titles, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        drawn = _show(axes, plane, scale)
        axes.set_title(title, fontsize="small")
        axes.set_axis_off()
    if not scale.is_zero:
        figure.colorbar(drawn, ax=figure.axes, shrink=0.6)
    return figure


def _show(axes: Axes, plane: Numbers, scale: Scale) -> Any:
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(palette(signed=scale.signed) / 255)
    return axes.imshow(plane, cmap=colours, vmin=scale.start, vmax=scale.end or 1)


def _figure(size: Size) -> Figure:
    with needs("matplotlib", "figures"):
        from matplotlib.figure import Figure
    return Figure(figsize=size, layout="constrained")
