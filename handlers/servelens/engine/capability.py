"""The capability document: all that a caller needs to draw its forms, from card and survey."""

from __future__ import annotations

import platform
from fnmatch import fnmatchcase
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import torch

from servelens import __version__
from servelens.engine.budget import Limits
from servelens.engine.folder.card import Card, InputSpec
from servelens.engine.kit import Method, Propagation, Reads, Shape, propagation_of
from servelens.engine.methods import METHODS
from servelens.engine.survey import Layer, Survey
from servelens.engine.targets import Classes
from servelens.engine.thrift import BACKWARD
from servelens.engine.trust import CHECKS
from servelens.engine.unrolling import captum_is_there
from servelens.protocol import VERSION, TheoreticalField, to_wire
from servelens.protocol.capability import (
    InputFacts,
    Judged,
    LayerFacts,
    LimitFacts,
    MethodFacts,
    ModelFacts,
    OutputFacts,
    PlanEvidence,
    Surveyed,
    VersionFacts,
)

# For each way of propagating relevance why the model does not allow it, or None.
Unrolls = Mapping[Propagation, Optional[str]]
USUAL_PLANS = ("grad_cam", "saliency")


def describe(
    card: Card, survey: Survey, classes: Classes, parameters: int, unrolls: Unrolls
) -> Dict[str, Any]:
    """What the model is and what may be asked of it; digest and limits are the worker's to add."""
    default_layer = card.lens.default_layer or survey.default_layer
    methods = [_method(method, card, survey, default_layer, unrolls) for method in METHODS.values()]
    surveyed = Surveyed(
        lens=VERSION,
        model=ModelFacts(
            name=card.name,
            title=card.title or card.name,
            version=card.version,
            architecture=card.model.architecture or card.model.class_name,
            parameters=parameters,
        ),
        input=_input(card.input),
        output=OutputFacts(survey.head.kind, survey.head.classes, classes.activation),
        labels=classes.labels,
        layers=tuple(_layer(layer, _stage_of(layer.name, card, survey)) for layer in survey.layers),
        edges=survey.edges,
        default_layer=default_layer,
        default_layers=card.lens.default_layers or survey.default_layers,
        default_plan=card.lens.default_plan or _default_plan(methods),
        default_plan_evidence=_evidence(card.lens.evidence),
        warnings=survey.warnings,
        trust=tuple(check.describe() for check in CHECKS),
        methods=tuple(methods),
    )
    described: Dict[str, Any] = to_wire(surveyed)
    return described


def with_worker_facts(
    capability: Mapping[str, Any], digest: str, limits: Limits, device: torch.device
) -> Dict[str, Any]:
    """The document with what is known only where the archive runs."""
    return {
        **capability,
        "model": {**capability["model"], "digest": digest},
        "methods": [_where_it_runs(entry, capability, limits) for entry in capability["methods"]],
        "device": str(device),
        "limits": to_wire(
            LimitFacts(
                pixels=limits.pixels,
                steps=limits.steps,
                layers=limits.layers,
                response_bytes=limits.response_bytes,
                budget_ms=limits.budget_ms,
            )
        ),
        "versions": to_wire(
            VersionFacts(
                python=platform.python_version(),
                torch=torch.__version__,
                captum=_captum_version(),
                servelens=__version__,
            )
        ),
    }


def _input(spec: InputSpec) -> InputFacts:
    """How photos that somebody else prepares are scaled and cut, only each answer can tell."""
    return InputFacts(
        size=spec.size,
        channels=spec.channels,
        mean=spec.mean,
        std=spec.std,
        resize=None if spec.prepared else spec.resize,
        crop=None if spec.prepared else spec.crop,
        prepared=spec.prepared,
    )


def _default_plan(methods: Sequence[MethodFacts]) -> Tuple[str, ...]:
    """The first of the usual ones that the model supports."""
    supported = [entry.name for entry in methods if entry.supported]
    return tuple(name for name in USUAL_PLANS if name in supported)[:1]


def _evidence(kept: Mapping[str, Any]) -> Optional[PlanEvidence]:
    """As the card keeps it."""
    if not kept:
        return None
    return PlanEvidence(**{**kept, "methods": tuple(Judged(**one) for one in kept["methods"])})


def _layer(layer: Layer, stage: Optional[str]) -> LayerFacts:
    field = layer.receptive_field
    return LayerFacts(
        name=layer.name,
        type=layer.type,
        stage=stage,
        calls=layer.calls,
        shape=layer.shape,
        stride=layer.stride,
        kernel=layer.kernel,
        parameters=layer.parameters,
        leaf=layer.leaf,
        in_place=layer.changed_in_place,
        receptive_field=None
        if field is None
        else TheoreticalField(field.size, field.stride, field.offset, field.whole),
    )


def _stage_of(name: str, card: Card, survey: Survey) -> Optional[str]:
    """The recipe's stages are globs, the survey's are lists of names."""
    for stage, pattern in card.lens.stages.items():
        if fnmatchcase(name, pattern) or fnmatchcase(f"{name}.", pattern):
            return stage
    if card.lens.stages:
        return None
    return next((stage for stage, names in survey.stages.items() if name in names), None)


def _where_it_runs(
    entry: Mapping[str, Any], capability: Mapping[str, Any], limits: Limits
) -> Mapping[str, Any]:
    """A method's entry; a worker may lack what the builder has, or allow less."""
    method = METHODS[entry["name"]].within(limits.steps)
    shapes = {layer["name"]: layer["shape"] for layer in capability["layers"]}
    image = (capability["input"]["channels"], *capability["input"]["size"])
    entry = {
        **entry,
        "params": [to_wire(param.describe()) for param in method.params],
        "relative_cost": _relative_cost(method, image, shapes.get(capability["default_layer"])),
    }
    needs_captum = propagation_of(method.series) is not None
    if not needs_captum or not entry["supported"] or captum_is_there():
        return entry
    reason = f"{entry['name']} is computed by Captum, which is not installed where the archive runs"
    return {**entry, "supported": False, "reason": reason}


def _method(
    method: Method, card: Card, survey: Survey, default_layer: Optional[str], unrolls: Unrolls
) -> MethodFacts:
    reason = _why_unsupported(method, survey, default_layer, unrolls)
    shapes = {layer.name: layer.shape for layer in survey.layers}
    image = (card.input.channels, *card.input.size)
    return MethodFacts(
        name=method.name,
        title=method.title,
        family=method.family,
        summary=method.summary,
        signed=method.signed,
        scope=method.scope,
        params=tuple(param.describe() for param in method.params),
        supported=reason is None,
        reason=reason,
        relative_cost=_relative_cost(method, image, shapes.get(default_layer or "")),
        comes_in_parts=method.comes_in_parts,
        complete=method.complete,
        paper=method.paper,
    )


def _relative_cost(method: Method, image: Shape, layer: Optional[Shape]) -> float:
    """In forward passes, for one target with the parameters as they stand by default."""
    params = {param.name: param.default for param in method.params}
    forwards, backwards = method.passes(params, image, layer)
    return 1 + forwards + BACKWARD * backwards


def _why_unsupported(
    method: Method, survey: Survey, default_layer: Optional[str], unrolls: Unrolls
) -> Optional[str]:
    propagation = propagation_of(method.series)
    if not survey.hookable and (propagation is not None or method.reads & Reads.RULED_GRADIENT):
        return f"{method.name} goes through the model call by call, which TorchScript hides"
    if propagation is not None:
        return unrolls[propagation]
    if method.reads & Reads.RULED_GRADIENT and not survey.rectifiers:
        return f"{method.name} changes what ReLUs let back, and none runs in this model"
    if method.scope != "layer":
        return None
    if not survey.hookable:
        return f"{method.name} reads layers, and TorchScript refuses hooks on them"
    if default_layer is None and method.needs_layer_map:
        return f"{method.name} needs a layer with a map, and this model has none"
    return None


def _captum_version() -> Optional[str]:
    try:
        from importlib.metadata import version

        return version("captum")
    except Exception:  # metadata can be absent or broken; the answer then is that there is none
        return None
