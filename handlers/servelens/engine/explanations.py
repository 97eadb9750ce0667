"""Where what is asked to be explained becomes asks for maps: by which method, at which layer."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence, Tuple

from servelens.engine.budget import Limits
from servelens.engine.jobs import MapAsk
from servelens.engine.kit import Method
from servelens.engine.layers import Catalogue, LayerRef, bounded
from servelens.engine.methods import METHODS
from servelens.engine.targets import Classes, TargetRule
from servelens.protocol import MethodRequest, Problem, Request, did_you_mean, problem, shorten

MOST_MAPS = 4096


class Explanations:
    """Of one model; `default_plan` is asked where a request names no method."""

    def __init__(
        self,
        classes: Classes,
        catalogue: Catalogue,
        capability: Mapping[str, Any],
        default_plan: Tuple[MethodRequest, ...],
        limits: Limits,
    ) -> None:
        self._classes = classes
        self._catalogue = catalogue
        self._default_layer: Optional[str] = capability["default_layer"]
        self._unsupported = {m["name"]: m["reason"] for m in capability["methods"]}
        self._default_plan = default_plan
        self._limits = limits
        self._methods = {name: known.within(limits.steps) for name, known in METHODS.items()}

    def asks(self, request: Request, rules: Tuple[TargetRule, ...]) -> List[MapAsk]:
        """Two long lists, of methods and of targets, make of a short request the work of days."""
        plan = self._default_plan if request.explain is None else request.explain
        in_parts = request.part is not None
        asks: List[MapAsk] = []
        count = 0
        for entry in plan:
            for ask in self._of_entry(entry, rules, in_parts):
                count += sum(rule.count for rule in ask.rules)
                if count > MOST_MAPS:
                    raise problem(
                        "bad_value",
                        f"the methods, layers and targets make more than {MOST_MAPS} maps",
                        hint="ask for them in several requests",
                        where=entry.where,
                    )
                asks.append(ask)
        return asks

    def _of_entry(
        self, entry: MethodRequest, rules: Tuple[TargetRule, ...], in_parts: bool
    ) -> List[MapAsk]:
        method = self._methods.get(entry.method)
        if method is None:
            raise problem(
                "unknown_method",
                f"{shorten(entry.method)} is no method of this archive",
                hint=did_you_mean(entry.method, self._methods),
                where=f"{entry.where}.method",
            )
        params = method.read_params(entry.params, entry.where)
        own = entry.targets
        if own is not None:
            rules = self._classes.rules(own, f"{entry.where}.target")
        return [
            MapAsk(
                method,
                params,
                layer,
                rules,
                None if layer is None else self._catalogue.shape(layer),
                self._why_not(method, layer, entry.where, in_parts),
            )
            for layer in self._layers(method, entry)
        ]

    def _layers(self, method: Method, entry: MethodRequest) -> Sequence[Optional[LayerRef]]:
        if method.scope == "input":
            if entry.layers:
                raise problem(
                    "bad_value",
                    f"{method.name} explains the input and takes no layer",
                    where=f"{entry.where}.layer",
                )
            return (None,)
        if entry.layers:
            where = f"{entry.where}.layer" + ("s" if len(entry.layers) > 1 else "")
            layers = self._catalogue.resolve_all(entry.layers, where)
            return bounded(layers, self._limits.layers, where)
        if self._default_layer is None:
            return (None,)
        return self._catalogue.resolve(self._default_layer, "default_layer")

    def _why_not(
        self, method: Method, layer: Optional[LayerRef], where: str, in_parts: bool
    ) -> Optional[Problem]:
        """Why a known method cannot work on this model, on this layer or in parts; None where it
        can."""
        reason = self._unsupported[method.name]
        if reason is not None:
            return Problem("unsupported", reason, where=where)
        if in_parts and not method.comes_in_parts:
            able = ", ".join(name for name, known in self._methods.items() if known.comes_in_parts)
            return Problem(
                "unsupported",
                f"{method.name} does not come in parts",
                hint=f"leave part out, or ask for one of {able}",
                where=where,
            )
        if not method.needs_layer_map or layer is None:
            return None
        shape = self._catalogue.shape(layer)
        if shape is not None and len(shape) == 3:
            return None
        gives = "no single tensor" if shape is None else f"{list(shape)}"
        return Problem(
            "unsupported",
            f"{method.name} needs a layer of [channels, height, width]; {layer} gives {gives}",
            hint=f"the default layer is {self._default_layer!r}",
            where=f"{where}.layer",
        )
