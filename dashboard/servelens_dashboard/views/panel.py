"""A panel that is answered by itself: one method on Explain, one model on Compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dash import dcc, html

from servelens.client import Attribution, Result
from servelens.client.colours import Scale
from servelens_dashboard.components.graph import numbers
from servelens_dashboard.components.notice import hint
from servelens_dashboard.components.photo import bare_photo, photo_graph
from servelens_dashboard.components.waiting import Touch, as_a_whole, under_way
from servelens_dashboard.figures import field, heat
from servelens_dashboard.figures.evidence import Evidence, Mask, coarser, sentence, who
from servelens_dashboard.figures.look import Theme, number, percent
from servelens_dashboard.figures.maps import plane
from servelens_dashboard.ground import Ground, ground
from servelens_dashboard.scene import Scene
from servelens_dashboard.url_state import COMPARE
from servelens_dashboard.work import Progress

# What a panel has that callbacks know beside its way to wait: what it is asked for, what is pressed
# when it has failed, and that its map is whole.
ASK, RETRY, WHOLE = "ask", "retry", "whole"
# The clock by which a panel looks whether those are there with whom it shares a scale.
FELLOWS = "fellows"
FELLOWS_MS = 700


@dataclass(frozen=True)
class Panel:
    """A place on the page, and which of its buttons or clocks was touched."""

    name: str
    touch: Touch
    theme: Theme

    @property
    def is_stopped(self) -> bool:
        return self.touch.is_stopped

    @property
    def is_waited_for(self) -> bool:
        return self.touch.is_to_wait or self.touch.part == RETRY

    def id(self, part: str) -> dict[str, str]:
        return {"panel": self.name, "part": part}


def place(name: str, title: list[Any], photo: str, ask: Mapping[str, str], *more: Any) -> Any:
    """Filled by a callback of its own, so that a slow one holds up no other."""
    return html.Section(
        [
            html.H2(title),
            html.Div(bare_photo(photo), id={"panel": name, "part": "body"}, className="body"),
            dcc.Store(id={"panel": name, "part": ASK}, data=ask),
            *more,
        ],
        className="panel",
    )


def body(
    scene: Scene, panel: Panel, results: Sequence[Result], mask_of: Callable[[str], Mask | None]
) -> list[Any]:
    """The first result is this panel's own; the others share its scale."""
    result, photo = results[0], scene.view.photo or ""
    shown, under = result.attributions[0], ground(scene, result)
    if shown.map is None:
        return [bare_photo(photo), html.P(shown.why_nothing, className="notice", role="alert")]
    values = plane(shown.map)
    scale = Scale.shared([_scale(other.attributions[0]) for other in results if _has_map(other)])
    named = who(shown.target, result.predictions)
    mask = mask_of(photo) if under.is_photo else None
    words = sentence(named, Evidence.of(values, under.seen), mask)
    figure = heat.draw(under.photo, under.seen, values, scale, theme=panel.theme)
    if shown.layer is not None:
        field.followed(figure, scene.field_of(shown.layer), under.seen, values.shape)
    of = f"{panel.name}: {shown.title}" if scene.view.page == COMPARE else shown.title
    twin = heat.tell(values, scale, of)
    return [
        _beside(photo, photo_graph(figure, twin, under.seen, {"heat": panel.name}), under),
        html.P(words, className="sentence"),
        html.P(_small_print(result, shown, scale), className="hint"),
        numbers(twin),
    ]


def so_far(
    scene: Scene, panel: Panel, found: Progress, mask_of: Callable[[str], Mask | None]
) -> list[Any]:
    """Nothing is said of a map before any of it is there."""
    if not found.done:
        return [bare_photo(scene.view.photo or "")]
    return body(scene, panel, [found.result], mask_of)


def _beside(photo: str, drawn: html.Div, under: Ground) -> html.Div:
    """A map that does not lie over the photo has it at its side, and says why."""
    if under.is_photo:
        return drawn
    both = html.Div([bare_photo(photo), drawn], className="halves")
    return html.Div([both, hint(under.why)])


def whole(panel: Panel, href: str) -> dcc.Store:
    """Says to the rest of the page that this panel's map is whole, and of what."""
    return dcc.Store(id=panel.id(WHOLE), data=[panel.name, href])


def fellows_clock(panel: Panel) -> dcc.Interval:
    return dcc.Interval(id=panel.id(FELLOWS), interval=FELLOWS_MS)


def progress(panel: Panel, found: Progress) -> html.Div:
    share = percent(found.done / found.of)
    words = f"{share}, stopped" if panel.is_stopped else share
    bar = html.Progress(value=str(found.done), max=str(found.of), **{"aria-label": "done"})
    return under_way(panel.id, [bar, html.Span(words)], is_stopped=panel.is_stopped)


def waiting(scene: Scene, panel: Panel) -> list[Any]:
    """For a method that no part can be asked of."""
    what = "This method comes as a whole."
    told = as_a_whole(panel.id, what, is_stopped=panel.is_stopped)
    return [bare_photo(scene.view.photo or ""), told]


def _has_map(result: Result) -> bool:
    return result.attributions[0].map is not None


def _scale(shown: Attribution) -> Scale:
    return Scale.of(plane(shown.to_numpy()), signed=shown.signed)


def _small_print(result: Result, shown: Attribution, scale: Scale) -> str:
    """What the map's numbers are, and what they have cost."""
    cost = result.cost
    passes = f"{cost.forwards} forward and {cost.backwards} backward"
    parts = [scale.words(), f"{passes} passes, {number(cost.ms.get('compute', 0))} ms"]
    if shown.convergence_delta is not None:
        parts.append(f"convergence delta {shown.convergence_delta:.2g}")
    if shown.coarsened:
        parts.append(coarser(shown.coarsened))
    return "; ".join(parts)
