"""Results as Matplotlib figures. Matplotlib is the extra `notebook`, and imported only here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from servelens.client.colours import Scale
from servelens.client.errors import NothingToShow
from servelens.client.extra import needs
from servelens.client.panels import Panel, panels
from servelens.client.results import Showable
from servelens.palettes import palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 448
COLUMNS = 4
PANEL_INCHES = 3.2


def draw(result: Showable) -> Figure:
    """A panel for each picture; it is shown by whoever asked for it, not here."""
    with needs("matplotlib", "figures"):
        from matplotlib.figure import Figure
    drawn = list(panels(result, LONGEST))
    if not any(panel.picture for panel in drawn):
        said = "; ".join(f"{panel.title}: {panel.caption}" for panel in drawn)
        raise NothingToShow(said or f"{result.title}: it has no maps, and its photo is not known")
    columns = min(COLUMNS, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    size = (PANEL_INCHES * columns, PANEL_INCHES * rows)
    figure = Figure(figsize=size, layout="constrained")
    for place, panel in enumerate(drawn, start=1):
        _show(figure.add_subplot(rows, columns, place), panel)
    return figure


def _show(axes: Axes, panel: Panel) -> None:
    # Labels come from a server, and a dollar sign in one is no formula.
    words = f"{panel.title}\n{panel.caption}"
    axes.set_title(words, fontsize="small", wrap=True, parse_math=False)
    axes.set_axis_off()
    if panel.picture is not None:
        axes.imshow(np.asarray(panel.picture.convert("RGB")))
    if panel.scale is not None and not panel.scale.is_zero:
        _add_colour_bar(axes, panel.scale)


def _add_colour_bar(axes: Axes, scale: Scale) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    colours = ListedColormap(palette(signed=scale.signed) / 255)
    numbers = ScalarMappable(Normalize(scale.start, scale.end), colours)
    axes.figure.colorbar(numbers, ax=axes, shrink=0.8)
