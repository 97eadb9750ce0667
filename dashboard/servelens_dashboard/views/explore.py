"""The page Explore: a layer's channels on one photo, and the way there through the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from servelens.client import Activation, Result
from servelens_dashboard.components.facts import fact_table
from servelens_dashboard.components.graph import graph, numbers
from servelens_dashboard.components.layers import layer_tree
from servelens_dashboard.components.notice import hint
from servelens_dashboard.components.photo import bare_photo, picture_graph
from servelens_dashboard.components.saving import folded, keeping
from servelens_dashboard.components.waiting import as_a_whole
from servelens_dashboard.figures import network
from servelens_dashboard.figures.atlas import Atlas
from servelens_dashboard.figures.atlas import draw as draw_atlas
from servelens_dashboard.figures.atlas import tell as tell_atlas
from servelens_dashboard.figures.grid import Grid
from servelens_dashboard.figures.look import Theme, number
from servelens_dashboard.lens import Lens
from servelens_dashboard.questions import BY_ABLATION, SORTS, USUAL_SORT, most_channels
from servelens_dashboard.scene import MAP, Scene
from servelens_dashboard.url_state import OWN, SHARED, View
from servelens_dashboard.views.channel import channel_view
from servelens_dashboard.views.shell import News
from servelens_dashboard.views.side import side

SCALES = {OWN: "each on its own scale", SHARED: "all on one scale"}

# What the parts of the page are drawn from.
LAYER_ASK, CHANNEL_ASK, UNIT_ASK, WHOLE_ASK = "layer-ask", "channel-ask", "unit-ask", "whole-ask"
PREDICTIONS_ASK = "predictions-ask"
# Of some of them the view without what is nothing to them.
NARROWED: Mapping[str, Callable[[View], View]] = {
    CHANNEL_ASK: lambda view: view.but(place=None, out=False),
    UNIT_ASK: lambda view: view.but(out=False),
    PREDICTIONS_ASK: lambda view: view,
}


def page(scene: Scene, lens: Lens, pulse: str) -> list[html.Div]:
    return [
        side(scene, lens, layer_tree(scene.capability, scene.view)),
        html.Div(_stage(scene, pulse), className="stage"),
        html.Div(_right(scene, pulse), className="right"),
    ]


def stays(before: View, view: View) -> bool:
    """Whether the page is the same but for the channel: what is of it is drawn anew then, each part
    in its place."""
    return before.at_channel(None) == view.at_channel(None)


def news(scene: Scene, lens: Lens, pulse: str) -> News:
    """Nothing, for its parts look at the address by themselves."""
    return ()


def network_body(scene: Scene, theme: Theme) -> list[Any]:
    twin = network.tell(scene.capability)
    figure = network.draw(scene.capability, scene.view.layer, theme)
    width = f"{network.width(scene.capability)}px"
    drawn = html.Div(
        graph(figure, twin, "network-graph", minWidth=width), className="sideways", tabIndex=0
    )
    return [drawn, numbers(twin), folded(scene.view, "network")]


def atlas_body(scene: Scene, result: Result, theme: Theme) -> list[Any]:
    shown = result.activations[0]
    if shown.maps is None:
        return [html.P(shown.why_nothing, className="notice", role="alert")]
    atlas = atlas_of(scene, result)
    figure = draw_atlas(atlas, theme=theme, selected=scene.view.channel)
    order = SORTS[scene.view.sort_by or USUAL_SORT]
    twin = tell_atlas(atlas, shown.layer, order, _count(scene))
    width, height = atlas.grid.size
    return [
        picture_graph(figure, twin, height / width, {"heat": "atlas"}),
        html.P([f"{twin.caption} ", _first(scene, shown)], className="hint"),
        numbers(twin),
        keeping(scene.view, "atlas"),
    ]


def _first(scene: Scene, shown: Activation) -> dcc.Link:
    """A way to the channels for whoever has no pointer."""
    there = scene.view.at_channel(shown.channels[0].index)
    return dcc.Link("Look at the first", href=there.href, className="stay first")


def _count(scene: Scene) -> int | None:
    """How many channels the layer has, of which the atlas may show fewer."""
    shape = (scene.layer or {}).get("shape")
    return shape[0] if shape else None


def atlas_of(scene: Scene, result: Result) -> Atlas:
    """Raises `NothingToShow` where the layer has no maps."""
    shown = result.activations[0]
    channels = [channel.index for channel in shown.channels]
    return Atlas.of(shown.to_numpy(), channels, shared=scene.view.scale != OWN)


def _ask(view: View, pulse: str) -> dict[str, str]:
    return {"href": view.href, "pulse": pulse}


def whole_ask(view: View, pulse: str) -> dict[str, Any]:
    """With what it comes to for others; assets/asks.js passes on what is news to them."""
    narrowed = {name: of(view).href for name, of in NARROWED.items()}
    return {**_ask(view, pulse), "narrowed": narrowed}


def _stage(scene: Scene, pulse: str) -> list[Any]:
    view = scene.view
    if view.photo is None:
        return [hint("Drop an image here, paste one, or choose a file.")]
    if view.layer is None:
        predictions = dcc.Store(id=PREDICTIONS_ASK, data=_ask(view, pulse))
        return [hint("This model has no layer with a map to look at."), predictions]
    return [
        html.Div(id="network"),
        html.Div([html.H2(view.layer), _choices(scene)], className="title"),
        html.Div(_room(scene), id="atlas", className="atlas"),
        channel_view(view),
        dcc.Store(id=LAYER_ASK, data=_ask(view.at_channel(None), pulse)),
        *(dcc.Store(id=name, data=_ask(of(view), pulse)) for name, of in NARROWED.items()),
        dcc.Store(id=WHOLE_ASK, data=whole_ask(view, pulse)),
    ]


def _room(scene: Scene, *inside: Any) -> html.Div | None:
    """As high as the atlas will be, so that what is below it stays where it is."""
    if scene.layer is None or len(scene.layer["shape"] or ()) != MAP:
        return None
    count, *sides = scene.layer["shape"]
    width, height = Grid.of((most_channels(scene), *sides), count - 1).size
    return html.Div([*inside], className="room", style={"aspectRatio": f"{width} / {height}"})


def wait_id(part: str) -> dict[str, str]:
    """Of what an atlas has whose order is waited for."""
    return {"atlas": "ranking", "part": part}


def ranking(scene: Scene, *, is_stopped: bool) -> html.Div | None:
    what = f"The model is asked {_count(scene)} times, each time without one channel."
    return _room(scene, as_a_whole(wait_id, what, is_stopped=is_stopped))


def sorts_of(scene: Scene) -> dict[str, str]:
    """Of the one that is not for nothing, what it costs."""
    count = _count(scene)
    cost = f": {count} passes" if count else ""
    return {**SORTS, BY_ABLATION: f"{SORTS[BY_ABLATION]}{cost}"}


def _choices(scene: Scene) -> html.Div:
    """How the atlas is sorted and scaled."""
    view = scene.view
    choices = (
        ("sort", "Order of the channels", sorts_of(scene), view.sort_by or USUAL_SORT),
        ("scale", "Scale of the colours", SCALES, view.scale),
    )
    return html.Div(
        [
            dmc.Select(
                id=name,
                data=[{"value": value, "label": label} for value, label in words.items()],
                value=chosen,
                allowDeselect=False,
                size="xs",
                attributes={"input": {"aria-label": title}},
            )
            for name, title, words, chosen in choices
        ],
        className="scales",
    )


def _right(scene: Scene, pulse: str) -> list[Any]:
    layer, photo = scene.layer, scene.view.photo
    return [
        html.Div(id="predictions"),
        html.H2("The layer") if layer else None,
        _facts(layer) if layer else None,
        html.Div(id="statistics"),
        html.H2("On the way through the network"),
        html.Div(bare_photo(photo) if photo else None, id="journey"),
    ]


def statistics_body(view: View, result: Result) -> list[Any]:
    told = result.activations[0].statistics
    if told is None:
        return []
    facts = {
        "mean": number(told.mean),
        "deviation": number(told.std),
        "lowest, highest": f"{number(told.min)}, {number(told.max)}",
        "exact zeros": f"{told.sparsity:.0%}".replace("%", " %"),
        "active channels": f"{told.active_channels} of {told.num_channels}",
        "silent channels": str(told.dead_channels),
    }
    return [fact_table(facts), folded(view, "statistics")]


def _facts(layer: Mapping[str, Any]) -> html.Table:
    field = layer["receptive_field"]
    seen = "not known"
    if field:
        seen = "all of the input" if field["whole"] else " × ".join(map(str, field["size"]))
    return fact_table(
        {
            "kind": layer["type"],
            "output": " × ".join(map(str, layer["shape"] or ())) or "not known",
            "parameters": f"{layer['parameters']:,}",
            "each number sees": seen,
        }
    )
