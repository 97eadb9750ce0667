"""One channel of a layer: where it answers, what its units see, and what is said without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import dcc, html

from servelens.client import Result
from servelens.client.colours import Scale
from servelens.protocol import ReceptiveField
from servelens_dashboard.components.changes import change_table
from servelens_dashboard.components.graph import numbers
from servelens_dashboard.components.notice import hint
from servelens_dashboard.components.photo import bare_photo, photo_graph
from servelens_dashboard.components.saving import folded, keeping
from servelens_dashboard.figures import field, heat, knockout
from servelens_dashboard.figures.look import Theme
from servelens_dashboard.figures.maps import plane
from servelens_dashboard.figures.twin import Twin
from servelens_dashboard.ground import Ground, ground
from servelens_dashboard.scene import MAP, Scene
from servelens_dashboard.url_state import View

SWITCH = "knock-out"


def channel_view(view: View) -> html.Section:
    """Its parts are filled by callbacks of their own, with nothing where no channel is chosen."""
    photo = [] if view.channel is None else [bare_photo(view.photo or "")] * 2
    out = [dcc.Link(id=SWITCH, **switched(view)), html.Div(id="channel-out")]
    return html.Section(
        [
            html.Div(id="channel-head", className="title"),
            html.Div(photo, id="channel-look", className="halves"),
            html.Div([html.Div(out), html.Div(id="channel-learned")], className="halves"),
        ],
        id="channel",
        **{"aria-label": "The channel"},
    )


def switched(view: View) -> dict[str, str]:
    """Of the link that knocks the channel out, or brings it back."""
    return {
        "children": "Bring this channel back" if view.out else "Knock this channel out",
        "href": view.but(out=not view.out).href,
        "className": "stay switch on" if view.out else "stay switch",
    }


def head_body(view: View, shown: Sequence[int]) -> list[Any]:
    """With the ways to its neighbours in the atlas; from one that is not in it to the first."""
    place = shown.index(view.channel) if view.channel in shown else None
    before = shown[max(0, place - 1) : place] if place is not None else ()
    after = shown[:1] if place is None else shown[place + 1 : place + 2]
    links = [
        dcc.Link(text, href=view.at_channel(channel).href, className=f"stay {kind}")
        for text, kind, channels in (("‹ before", "before", before), ("next ›", "after", after))
        for channel in channels
    ]
    close = dcc.Link("close", href=view.at_channel(None).href, className="stay")
    return [
        html.H2([f"Channel {view.channel}", html.Small(f" of {view.layer}")]),
        html.Nav([*links, close], className="scales", **{"aria-label": "Channels"}),
    ]


def look_body(scene: Scene, channel: Result, unit: Result, theme: Theme) -> list[Any]:
    """The channel's map and the unit that is looked at in it, each over the photo."""
    shown, told, under = channel.activations[0], unit.receptive_field, ground(scene, channel)
    if shown.maps is None:
        return [html.P(shown.why_nothing, className="notice", role="alert")]
    values = plane(shown.maps[0])
    scale = Scale.of(values, signed=False)
    if shown.maps.ndim != MAP:
        return [hint(f"Its numbers have no place in the photo: {scale.words()}.")]
    figure = heat.draw(under.photo, under.seen, values, scale, theme=theme)
    field.followed(figure, scene.field_of(scene.view.layer), under.seen, values.shape)
    twin = heat.tell(values, scale, "Where it answers")
    if told is None:
        return [_drawn(figure, twin, under, scene.view, "channel", under.why)]
    if told.box is not None:
        field.boxed(figure, told.box)
    more = f"A click looks at the unit there. {under.why}"
    return [
        _drawn(figure, twin, under, scene.view, "channel", more),
        _unit(scene.view, told, ground(scene, unit), theme),
    ]


def out_body(view: View, result: Result | None) -> list[Any]:
    """None where the channel is not knocked out."""
    if result is None:
        return [hint("What becomes of the prediction when the channel gives only zeros.")]
    told = result.ablation
    if told is None or told.problem is not None:
        why = told.problem.words if told and told.problem else "It was not silenced."
        return [html.P(why, className="notice", role="alert")]
    words = knockout.sentence(told.before, told.after)
    rows = knockout.changes(told.before, told.after, view.target)
    table = change_table(rows, words)
    return [html.P(words, className="judgement"), table, folded(view, "knock-out")]


def _unit(view: View, told: ReceptiveField, under: Ground, theme: Theme) -> html.Figure:
    """What moves it, where that could be found, within what it can see."""
    values = None if told.map is None else plane(told.map)
    scale = None if values is None else Scale.of(values, signed=False)
    figure = heat.draw(under.photo, under.seen, values, scale, theme=theme)
    if told.box is not None:
        field.boxed(figure, told.box)
    twin = Twin(field.tell(told))
    if values is not None and scale is not None:
        twin = Twin(twin.caption, heat.tell(values, scale, "what moves it").rows)
    why = "" if told.problem is None else told.problem.words
    return _drawn(figure, twin, under, view, "unit", why)


def _drawn(figure: Any, twin: Twin, under: Ground, view: View, name: str, more: str) -> html.Figure:
    return html.Figure(
        [
            photo_graph(figure, twin, under.seen, {"heat": name}),
            html.Figcaption(f"{twin.caption} {more}", className="hint"),
            numbers(twin),
            keeping(view, name),
        ]
    )
