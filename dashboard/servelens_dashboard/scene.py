"""A view with nothing left to guess: what the server, the model and the shelf make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from servelens.client import Version
from servelens_dashboard.lens import Lens
from servelens_dashboard.overview import Overview
from servelens_dashboard.troubles import EXPECTED
from servelens_dashboard.url_state import (
    COMPARE,
    MOST_MODELS,
    Entry,
    Named,
    View,
    parse_at,
    parse_named,
)

MOST_CLASSES = 10
# Channels, height and width.
MAP = 3


@dataclass(frozen=True)
class Scene:
    """`view` names its model, its photo and its methods, so that its address is a whole one."""

    view: View
    overview: Overview
    version: Version
    capability: Mapping[str, Any]

    def but(self, view: View) -> Scene:
        return replace(self, view=view)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.capability["labels"])

    @property
    def map_layers(self) -> tuple[str, ...]:
        """Those with maps, in the order of execution."""
        layers = self.capability["layers"]
        return tuple(layer["name"] for layer in layers if len(layer["shape"] or ()) == MAP)

    def field_of(self, layer: str | None) -> Mapping[str, Any] | None:
        """What one unit of the layer can see of the input, where that is known."""
        field: Mapping[str, Any] | None = (self._told_of(layer) or {}).get("receptive_field")
        return field

    @property
    def layer(self) -> Mapping[str, Any] | None:
        """The one that is looked at, as the capability document has it."""
        return self._told_of(self.view.layer)

    def _told_of(self, name: str | None) -> Mapping[str, Any] | None:
        layers = self.capability["layers"]
        return next((layer for layer in layers if layer["name"] == name), None)

    @property
    def pulse(self) -> str:
        """What other models do draws the page no other, and what was stopped on it stays so."""
        return self.overview.pulse_of({model.name for model in self.view.models})

    @property
    def methods(self) -> Mapping[str, Mapping[str, Any]]:
        return {method["name"]: method for method in self.capability["methods"]}


def set_scene(view: View, lens: Lens) -> Scene:
    """Raises what `troubles` can tell."""
    overview = lens.overview()
    version, capability = _speaker(view, overview, lens)
    models = view.models or (Named(version.name),)
    if view.page == COMPARE and not view.models:
        models = with_others(models[0], overview)
    return Scene(
        view.but(
            models=models,
            photo=view.photo or next(iter(lens.shelf.samples), None),
            methods=view.methods or default_methods(capability),
            layer=view.layer or capability.get("default_layer"),
        ),
        overview,
        version,
        capability,
    )


def _speaker(view: View, overview: Overview, lens: Lens) -> tuple[Version, Mapping[str, Any]]:
    """Who says what the page may ask: of several that are compared the first that can, for why
    another cannot is told in its own panel."""
    may_speak = view.models if view.page == COMPARE and view.models else (view.model,)
    troubles: list[Exception] = []
    for named in may_speak:
        try:
            version = overview.find(named)
            return version, lens.capability(version)
        except EXPECTED as error:
            troubles.append(error)
    raise troubles[0]


def with_others(model: Named, overview: Overview) -> tuple[Named, ...]:
    """What a model is compared with where nobody has chosen: the others that can answer."""
    ready = [
        Named(name)
        for name, versions in overview.models.items()
        if versions[0].is_ready and name != model.name
    ]
    return (model, *ready)[:MOST_MODELS]


def scene_of(view: View, model: str, lens: Lens) -> Scene:
    """For one of several models, which has layers of its own."""
    return set_scene(view.but(models=(parse_named(model),), layer=None), lens)


def each_scene(view: View, lens: Lens) -> dict[str, Scene | Exception]:
    """A scene for each of several models, or why there is none."""
    scenes: dict[str, Scene | Exception] = {}
    for named in view.models:
        try:
            scenes[str(named)] = scene_of(view, str(named), lens)
        except EXPECTED as error:
            scenes[str(named)] = error
    return scenes


def scene_at(href: str, lens: Lens) -> Scene:
    return set_scene(parse_at(href), lens)


def default_methods(capability: Mapping[str, Any]) -> tuple[Entry, ...]:
    """The archive's plan; its entries are names, or objects as the key `explain` takes them."""
    return tuple(_entry(planned) for planned in capability.get("default_plan") or ())


def _entry(planned: Any) -> Entry:
    if isinstance(planned, str):
        return Entry(planned)
    more = dict(planned)
    method, layer = more.pop("method"), more.pop("layer", None)
    more.pop("target", None)
    more.pop("layers", None)
    return Entry(method, layer, tuple(sorted(more.items())))


def predict_request(scene: Scene) -> dict[str, Any]:
    """So many classes that no answer need be asked again for those of the page."""
    return {"top_k": min(len(scene.labels), MOST_CLASSES)}


def depth_request(scene: Scene) -> dict[str, Any]:
    """The layers that stand for the model's depth: their statistics, and the strongest channel."""
    layers = list(dict.fromkeys(scene.capability["default_layers"]))
    return {"activations": {"layers": layers, "channels": 1}, "top_k": 1}


def compare_request(scene: Scene) -> dict[str, Any]:
    """All but the heat, in one pass."""
    return {**depth_request(scene), **predict_request(scene)}


def explain_request(scene: Scene, entry: Entry) -> dict[str, Any]:
    """One method for the view's class."""
    target = target_of(scene.view)
    return {"explain": [entry.request()], "target": target, **predict_request(scene)}


def target_of(view: View) -> Any:
    """One class, which may be set against another."""
    if view.versus is not None and view.target is not None:
        return {"class": view.target, "versus": view.versus}
    return "predicted" if view.target is None else view.target


def trust_request(scene: Scene, entry: Entry) -> dict[str, Any]:
    """The same map with evidence on it."""
    return {**explain_request(scene, entry), "trust": True}
