"""The page Explore: a layer's channels on one photo, and how the photo changes on its way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import dcc, html

from servelens.client import Result
from servelens.client.colours import Scale
from servelens_dashboard.components.graph import graph, numbers
from servelens_dashboard.components.layers import layer_tree
from servelens_dashboard.components.notice import hint
from servelens_dashboard.components.photo import photo_graph, photo_src, picture_graph
from servelens_dashboard.components.saving import saving
from servelens_dashboard.figures import depth, heat
from servelens_dashboard.figures.atlas import Atlas
from servelens_dashboard.figures.atlas import draw as draw_atlas
from servelens_dashboard.figures.atlas import tell as tell_atlas
from servelens_dashboard.figures.look import Theme, number
from servelens_dashboard.figures.maps import plane
from servelens_dashboard.lens import Lens, looked_at
from servelens_dashboard.scene import Scene
from servelens_dashboard.url_state import OWN, SHARED, View
from servelens_dashboard.views.side import side

MOST_CHANNELS = 64
SORTS = {"activation": "strongest first", "variance": "most varied first", "random": "at random"}
USUAL_SORT = next(iter(SORTS))


def page(scene: Scene, lens: Lens, pulse: str) -> list[html.Div]:
    ask = {"href": scene.view.href, "pulse": pulse}
    return [
        side(scene, lens, layer_tree(scene.capability, scene.view)),
        html.Div(_stage(scene, ask), className="stage"),
        html.Div(_right(scene, ask), className="right"),
    ]


def atlas_request(scene: Scene) -> dict[str, Any]:
    wanted = {
        "layers": [scene.view.layer],
        "channels": MOST_CHANNELS,
        "sort_by": scene.view.sort_by or USUAL_SORT,
    }
    return {"activations": wanted, "top_k": 1}


def channel_request(scene: Scene) -> dict[str, Any]:
    """By itself, for it may be none of the atlas's."""
    wanted = {
        "layers": [scene.view.layer],
        "channels": [scene.view.channel],
        "statistics": False,
    }
    return {"activations": wanted, "top_k": 1}


def atlas_body(scene: Scene, result: Result, theme: Theme) -> list[Any]:
    shown = result.activations[0]
    if shown.maps is None:
        return [html.P(shown.why_nothing, className="notice", role="alert")]
    atlas = atlas_of(scene, result)
    figure = draw_atlas(atlas, theme=theme, selected=scene.view.channel)
    twin = tell_atlas(atlas, shown.layer)
    width, height = atlas.grid.size
    return [
        picture_graph(figure, twin, height / width, {"heat": "atlas"}),
        html.P(twin.caption, className="hint"),
        numbers(twin),
        saving(scene.view, "atlas"),
    ]


def atlas_of(scene: Scene, result: Result) -> Atlas:
    """Raises `NothingToShow` where the layer has no maps."""
    shown = result.activations[0]
    channels = [channel.index for channel in shown.channels]
    return Atlas.of(shown.to_numpy(), channels, shared=scene.view.scale != OWN)


def channel_body(scene: Scene, result: Result, theme: Theme) -> list[Any]:
    shown = result.activations[0]
    if shown.maps is None:
        return [html.P(shown.why_nothing, className="notice", role="alert")]
    values = plane(shown.maps[0])
    scale = Scale.of(values, signed=False)
    photo = photo_src(scene.view.photo or "")
    seen = looked_at(result)
    figure = heat.draw(photo, seen, values, scale, theme=theme)
    twin = heat.tell(values, scale, f"channel {scene.view.channel} of {shown.layer}")
    close = dcc.Link("close", href=scene.view.but(channel=None).href, className="remove")
    return [
        html.Div([html.H2(f"Channel {scene.view.channel}"), close], className="title"),
        html.Div(
            photo_graph(figure, twin, seen, {"heat": "channel"}),
            className="one-channel",
        ),
        html.P(twin.caption, className="hint"),
        numbers(twin),
        saving(scene.view, "channel"),
    ]


def depth_body(scene: Scene, result: Result, theme: Theme) -> list[Any]:
    models = {scene.version.name: result.activations}
    twin = depth.tell(models)
    figure = depth.draw(models, chosen=scene.view.layer, theme=theme)
    return [graph(figure, twin, "depth"), html.P(twin.caption, className="hint"), numbers(twin)]


def _stage(scene: Scene, ask: Mapping[str, str]) -> list[Any]:
    view = scene.view
    if view.photo is None:
        return [hint("Drop an image here, paste one, or choose a file.")]
    if view.layer is None:
        return [hint("This model has no layer with a map to look at.")]
    return [
        html.Div([html.H2(view.layer), _choices(view)], className="title"),
        html.Div(id="atlas", className="atlas"),
        html.Div(id="channel"),
        dcc.Store(id="explore-ask", data=ask),
    ]


def _choices(view: View) -> html.Div:
    """How the atlas is sorted and scaled."""
    sort = view.sort_by or USUAL_SORT
    scales = ((SHARED, "one scale"), (OWN, "each its own"))
    return html.Div(
        [
            *(_choice(text, view.but(sort_by=name), name == sort) for name, text in SORTS.items()),
            html.Span("·", **{"aria-hidden": "true"}),
            *(_choice(text, view.but(scale=name), name == view.scale) for name, text in scales),
        ],
        className="scales",
    )


def _choice(text: str, view: View, here: bool) -> dcc.Link:
    return dcc.Link(text, href=view.href, className="here" if here else "")


def _right(scene: Scene, ask: Mapping[str, str]) -> list[Any]:
    layers = {layer["name"]: layer for layer in scene.capability["layers"]}
    layer = layers.get(scene.view.layer or "")
    return [
        html.Div(id="predictions"),
        dcc.Store(id="predictions-ask", data=ask),
        html.H2("The layer") if layer else None,
        _facts(layer) if layer else None,
        html.Div(id="statistics"),
        html.H2("On the way through the network"),
        html.Div(id="progression"),
    ]


def statistics_body(result: Result) -> Any:
    told = result.activations[0].statistics
    if told is None:
        return []
    return _table(
        {
            "mean": number(told.mean),
            "deviation": number(told.std),
            "lowest, highest": f"{number(told.min)}, {number(told.max)}",
            "exact zeros": f"{told.sparsity:.0%}".replace("%", " %"),
            "active channels": f"{told.active_channels} of {told.num_channels}",
            "silent channels": str(told.dead_channels),
        }
    )


def _facts(layer: Mapping[str, Any]) -> html.Table:
    field = layer["receptive_field"]
    seen = "not known"
    if field:
        seen = "all of the input" if field["whole"] else " × ".join(map(str, field["size"]))
    return _table(
        {
            "kind": layer["type"],
            "output": " × ".join(map(str, layer["shape"] or ())) or "not known",
            "parameters": f"{layer['parameters']:,}",
            "each number sees": seen,
        }
    )


def _table(facts: Mapping[str, str]) -> html.Table:
    rows = [html.Tr([html.Th(name, scope="row"), html.Td(text)]) for name, text in facts.items()]
    return html.Table(html.Tbody(rows), className="facts")
