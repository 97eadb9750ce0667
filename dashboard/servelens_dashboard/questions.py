"""What the page Explore asks: of a layer, of a channel, of a unit in it, and of the way there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from servelens.client import Activation, BadAnswer, NothingToShow, Result
from servelens_dashboard.figures.maps import plane
from servelens_dashboard.lens import Lens
from servelens_dashboard.scene import MAP, Scene, depth_request, target_of

# Answers a request about the scene's photo.
Ask = Callable[[Mapping[str, Any]], Result]

MOST_CHANNELS = 512
# At two bytes each an answer of so many numbers is within what an archive gives at once.
MOST_NUMBERS = 2_900_000
# Of more classes than that only the first ones are told, before and after.
MOST_TOLD = 1000
BY_CLASS = "relevance"
BY_ABLATION = "ablation"
# Those of the protocol's `sort_by`, and one that takes a ranking of its own.
SORTS: Mapping[str, str] = {
    "activation": "strongest first",
    "variance": "most varied first",
    BY_CLASS: "most relevant to the class first",
    BY_ABLATION: "most missed by the class first",
    "random": "in random order",
}
USUAL_SORT = next(iter(SORTS))
COLOURS = 3


def about(scene: Scene, lens: Lens) -> Ask:
    return partial(lens.ask, scene.version, scene.view.photo or "")


def most_channels(scene: Scene) -> int:
    """So many of the layer's as can be had at once."""
    count, *sides = (scene.layer or {}).get("shape") or (MOST_CHANNELS,)
    return int(max(1, min(count, MOST_CHANNELS, MOST_NUMBERS // max(1, math.prod(sides)))))


def atlas(scene: Scene, ask: Ask) -> Result:
    """The layer's first channels in the order that is wanted."""
    sort = scene.view.sort_by or USUAL_SORT
    if sort == BY_ABLATION:
        return ask(_activations(scene, channels=_most_missed(scene, ask)))
    request = _activations(scene, channels=most_channels(scene), sort_by=sort)
    return ask({**request, "target": target_of(scene.view)} if sort == BY_CLASS else request)


def channel(scene: Scene, ask: Ask) -> Result:
    """By itself, for it may be none of the atlas's."""
    return ask(_activations(scene, channels=[scene.view.channel], statistics=False))


def unit(scene: Scene, ask: Ask) -> Result:
    """What the unit at the place that was clicked sees, or the channel's strongest one."""
    place = scene.view.place or strongest(channel(scene, ask).activations[0])
    unit = {"layer": scene.view.layer, "channel": scene.view.channel, "position": place}
    return ask({"receptive_field": unit, "top_k": 1})


def knocked_out(scene: Scene, ask: Ask) -> Result:
    edit = {"layer": scene.view.layer, "channels": [scene.view.channel]}
    return ask({"ablate": [edit], "top_k": min(len(scene.labels), MOST_TOLD)})


def weights(scene: Scene, ask: Ask) -> Result:
    """Filters that are looked at as colours stand beside each other."""
    channels = "all" if sees_colours(scene) else [scene.view.channel]
    return ask({"weights": {"layers": [scene.view.layer], "channels": channels}})


def journey(scene: Scene, ask: Ask) -> Result:
    """The layers that stand for the model's depth, each with its strongest channel."""
    return ask(depth_request(scene))


def strongest(shown: Activation) -> list[int] | None:
    """Row and column of the largest number of a single channel."""
    if shown.maps is None or shown.maps.ndim != MAP:
        return None
    values = plane(shown.maps[0])
    return [int(place) for place in np.unravel_index(values.argmax(), values.shape)]


def sees_colours(scene: Scene) -> bool:
    """The first layer that has learned something, where photos come in colours."""
    layers = scene.capability["layers"]
    learned = (layer["name"] for layer in layers if layer["leaf"] and layer["parameters"])
    first = next(learned, None)
    return scene.capability["input"]["channels"] == COLOURS and scene.view.layer == first


def statistics(scene: Scene, ask: Ask) -> Result:
    """Of the layer, of which nobody has to wait for how its channels are ranked."""
    is_ranked = scene.view.sort_by == BY_ABLATION
    return atlas(scene.but(scene.view.but(sort_by=None)) if is_ranked else scene, ask)


def ranking_request(scene: Scene) -> dict[str, Any]:
    """One pass for each channel."""
    wanted = {"layer": scene.view.layer, "mode": BY_ABLATION, "target": target_of(scene.view)}
    return {"rank_channels": wanted, "top_k": 1}


def is_ranking_awaited(scene: Scene, lens: Lens) -> bool:
    if scene.view.sort_by != BY_ABLATION:
        return False
    return not lens.knows(scene.version, scene.view.photo or "", ranking_request(scene))


def _activations(scene: Scene, **wanted: Any) -> dict[str, Any]:
    return {"activations": {"layers": [scene.view.layer], **wanted}, "top_k": 1}


def _most_missed(scene: Scene, ask: Ask) -> Sequence[int]:
    """Those first without which the class's logit would lose most."""
    for ranking in ask(ranking_request(scene)).channel_ranking or ():
        if ranking.problem is not None:
            raise NothingToShow(ranking.problem.words)
        return [effect.index for effect in ranking.channels[: most_channels(scene)]]
    raise BadAnswer("the server's answer has no ranking of the channels")
