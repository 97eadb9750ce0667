"""The page Explore: the network, the atlas, the channel that is looked at, and the way there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State
from dash.exceptions import PreventUpdate

from servelens_dashboard import questions
from servelens_dashboard.callbacks.waiting import touched, touches
from servelens_dashboard.components.notice import retry_all
from servelens_dashboard.components.still import still
from servelens_dashboard.components.waiting import Touch
from servelens_dashboard.desk import Desk
from servelens_dashboard.figures.look import THEMES, Theme
from servelens_dashboard.lens import Lens
from servelens_dashboard.questions import Ask
from servelens_dashboard.scene import Scene, scene_at, set_scene
from servelens_dashboard.troubles import EXPECTED
from servelens_dashboard.url_state import parse, parse_at
from servelens_dashboard.views import channel, explore, journey, learned
from servelens_dashboard.views.side import samples

Draw = Callable[[Scene, Ask, Theme], Any]


def register(app: Dash, desk: Desk) -> None:
    for asked, parts in PARTS.items():
        for part, draw in parts.items():
            _wire(app, desk, asked, part, draw)

    @app.callback(
        Output(explore.WHOLE_ASK, "data"),
        Input("url", "search"),
        State("url", "pathname"),
        State(explore.WHOLE_ASK, "data"),
        prevent_initial_call=True,
    )
    async def go_on(search: str, pathname: str, shown: dict[str, str]) -> Any:
        try:
            scene = await desk.run(lambda: set_scene(parse(pathname, search), desk.lens))
        except EXPECTED as error:
            raise PreventUpdate from error  # told where the page is drawn
        if not explore.stays(parse_at(shown["href"]), scene.view):
            raise PreventUpdate
        return explore.whole_ask(scene.view, shown["pulse"])

    @app.callback(
        Output("samples", "children"),
        *(Output(channel.SWITCH, name) for name in ("children", "href", "className")),
        Input(explore.WHOLE_ASK, "data"),
        prevent_initial_call=True,
    )
    async def link(ask: dict[str, str]) -> Any:
        view = (await desk.run(scene_at, ask["href"], desk.lens)).view
        return still(samples(view, desk.lens)), *channel.switched(view).values()

    @app.callback(
        output=Output("atlas", "children"),
        inputs={
            "_": Input(explore.LAYER_ASK, "data"),
            "theme": Input("theme", "data"),
            "counts": touches(explore.wait_id),
        },
        state={"whole": State(explore.WHOLE_ASK, "data")},
    )
    async def show_atlas(
        _: dict[str, str],
        theme: str | None,
        counts: dict[str, int | None],
        whole: dict[str, str],
    ) -> Any:
        """With the channel that is looked at now; another is marked in the browser."""
        touch = touched(counts, anew=explore.LAYER_ASK)
        if theme not in THEMES:
            raise PreventUpdate
        draw = partial(_atlas, desk.lens, touch)
        return await _part(desk, whole["href"], draw, THEMES[theme])

    app.clientside_callback(
        ClientsideFunction("atlas", "mark"),
        Output({"heat": "atlas"}, "figure", allow_duplicate=True),
        Input(explore.WHOLE_ASK, "data"),
        State({"heat": "atlas"}, "figure"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("asks", "narrow"),
        [Output(name, "data") for name in explore.NARROWED],
        Input(explore.WHOLE_ASK, "data"),
        [State(name, "data") for name in explore.NARROWED],
        prevent_initial_call=True,
    )


def _wire(app: Dash, desk: Desk, asked: str, part: str, draw: Draw) -> None:
    @app.callback(Output(part, "children"), Input(asked, "data"), Input("theme", "data"))
    async def show(ask: dict[str, str], theme: str | None) -> Any:
        if theme not in THEMES:
            raise PreventUpdate
        return await _part(desk, ask["href"], draw, THEMES[theme])


async def _part(desk: Desk, href: str, draw: Draw, theme: Theme) -> Any:
    def drawn() -> Any:
        scene = scene_at(href, desk.lens)
        return draw(scene, questions.about(scene, desk.lens), theme)

    return await desk.drawn(drawn, retry_all())


def _atlas(lens: Lens, touch: Touch, scene: Scene, ask: Ask, theme: Theme) -> Any:
    if not touch.is_to_wait and questions.is_ranking_awaited(scene, lens):
        return explore.ranking(scene, is_stopped=touch.is_stopped)
    return explore.atlas_body(scene, questions.atlas(scene, ask), theme)


def _of_channel(draw: Draw) -> Draw:
    """Nothing where none is looked at."""
    return lambda scene, ask, theme: [] if scene.view.channel is None else draw(scene, ask, theme)


def _head(scene: Scene, ask: Ask, theme: Theme) -> Any:
    shown = questions.atlas(scene, ask).activations[0].channels
    return channel.head_body(scene.view, [each.index for each in shown])


def _look(scene: Scene, ask: Ask, theme: Theme) -> Any:
    about = questions.channel(scene, ask), questions.unit(scene, ask)
    return channel.look_body(scene, *about, theme)


def _out(scene: Scene, ask: Ask, theme: Theme) -> Any:
    result = questions.knocked_out(scene, ask) if scene.view.out else None
    return channel.out_body(scene.view, result)


# What is drawn from which store, each part by itself.
PARTS: Mapping[str, Mapping[str, Draw]] = {
    explore.LAYER_ASK: {
        "network": lambda scene, ask, theme: explore.network_body(scene, theme),
        "statistics": lambda scene, ask, _: explore.statistics_body(
            scene.view, questions.statistics(scene, ask)
        ),
        "journey": lambda scene, ask, theme: journey.journey_body(
            scene, questions.journey(scene, ask), theme
        ),
    },
    explore.CHANNEL_ASK: {
        "channel-learned": _of_channel(
            lambda scene, ask, theme: learned.learned_body(
                scene, questions.weights(scene, ask), theme
            )
        ),
    },
    explore.UNIT_ASK: {"channel-look": _of_channel(_look)},
    explore.WHOLE_ASK: {"channel-head": _of_channel(_head), "channel-out": _of_channel(_out)},
}
