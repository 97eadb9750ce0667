"""Where a request becomes a job: names are resolved and values checked, before any pass."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Callable, Mapping, Optional, Tuple

import numpy as np
from torch import nn

from servelens.engine.budget import Limits
from servelens.engine.drawings import see_mask, see_segments
from servelens.engine.explanations import Explanations
from servelens.engine.features.channels import check_channels
from servelens.engine.folder.card import InputSpec
from servelens.engine.geometry import NO_PHOTO, View, view_photo
from servelens.engine.inquiries import Inquiries
from servelens.engine.jobs import ActivationAsk, Job, MapAsk
from servelens.engine.layers import Catalogue, LayerRef, bounded
from servelens.engine.targets import Classes
from servelens.protocol import (
    ActivationsRequest,
    Drawing,
    InputRef,
    MethodRequest,
    Problem,
    Request,
    problem,
    shorten,
)

NOT_RENDERED = Problem(
    "unsupported",
    "a part's map is a share of a sum, of which no picture is made",
    hint="leave render out, and add the parts' maps up",
    where="render",
)
NOWHERE = (
    "the archive's own handler prepares photos for the model, and it could not be measured where "
    "in this photo it looks"
)

# What the model sees of a photo, and, where that is asked for, its backdrop.
See = Callable[[bytes, bool], View]


class Desk:
    """Turns requests into jobs for one model."""

    def __init__(
        self,
        spec: InputSpec,
        module: nn.Module,
        classes: Classes,
        catalogue: Catalogue,
        capability: Mapping[str, Any],
        default_plan: Tuple[MethodRequest, ...],
        limits: Limits,
        see: Optional[See] = None,
    ) -> None:
        """Photos are decoded here, unless `see` does that."""
        self._spec = spec
        self._see_photo = see or self._decode
        self._classes = classes
        self._catalogue = catalogue
        self._default_layers: Tuple[str, ...] = tuple(capability["default_layers"])
        self._limits = limits
        self._explanations = Explanations(classes, catalogue, capability, default_plan, limits)
        self._inquiries = Inquiries(module, catalogue, classes, spec.size, limits)

    def prepare(self, row: int, request: Request) -> Job:
        """Raises ProblemError on the first thing that is wrong with the request."""
        if request.image is None and request.needs_image:
            raise problem(
                "no_image",
                "the request has no image",
                hint="send one as the body (curl -T photo.jpg) or as a form's file (-F data=@…)",
                where="image",
            )
        rules = self._classes.rules(request.targets, "target")
        maps = self._explanations.asks(request, rules)
        rankings = self._inquiries.rankings(request, rules)
        activations = self._activation_asks(request.activations)
        started = time.perf_counter()
        view, mask = self._see(request)
        return Job(
            row=row,
            request=request,
            view=view,
            top_k=self._top_k(request.top_k),
            rules=rules,
            maps=(*(self._with_segments(ask, view) for ask in maps), *rankings),
            activations=activations,
            problems=_not_rendered(request, view),
            preprocess_ms=(time.perf_counter() - started) * 1000,
            mask=mask,
            weights=self._inquiries.weights(request),
            further=self._inquiries.further(request),
        )

    def _see(self, request: Request) -> Tuple[View, Optional[np.ndarray]]:
        """What the model sees of the photo, and of the mask that was drawn over it."""
        if request.image is None:
            return NO_PHOTO, None
        view = self._see_photo(request.image, request.render and request.part is None)
        if request.mask is None:
            return view, None
        ref = _known(view, request.mask)
        return view, see_mask(request.mask, ref, self._spec, self._limits.pixels)

    def _decode(self, photo: bytes, backdrop: bool) -> View:
        return view_photo(photo, self._spec, self._limits.pixels, backdrop=backdrop)

    def _with_segments(self, ask: MapAsk, view: View) -> MapAsk:
        """What was drawn among the parameters, as the model sees it."""
        drawn = {
            name: see_segments(value, _known(view, value), self._spec, self._limits.pixels)
            for name, value in ask.params.items()
            if isinstance(value, Drawing)
        }
        return replace(ask, params={**ask.params, **drawn}) if drawn else ask

    def _activation_asks(self, asked: Optional[ActivationsRequest]) -> Tuple[ActivationAsk, ...]:
        if asked is None:
            return ()
        names = self._default_layers if asked.layers is None else asked.layers
        where = "activations.layers"
        layers = bounded(self._catalogue.resolve_all(names, where), self._limits.layers, where)
        return tuple(self._activation_ask(layer, asked) for layer in layers)

    def _activation_ask(self, layer: LayerRef, asked: ActivationsRequest) -> ActivationAsk:
        shape = self._catalogue.shape(layer)
        if not shape:
            reason = f"{layer} gives no single tensor with channels for each image"
            return ActivationAsk(layer, Problem("unsupported", reason, where="activations.layers"))
        check_channels(asked.channels, shape[0], "activations.channels")
        return ActivationAsk(layer)

    def _top_k(self, asked: Optional[int]) -> int:
        if asked is None:
            return min(5, self._classes.count)
        if asked > self._classes.count:
            raise problem(
                "bad_value",
                f"top_k is {shorten(asked)}, the model has {self._classes.count} classes",
                where="top_k",
            )
        return asked


def _not_rendered(request: Request, view: View) -> Tuple[Problem, ...]:
    if not request.render:
        return ()
    if request.part is not None:
        return (NOT_RENDERED,)
    if request.image is not None and view.ref is None:
        reason = f"no picture is made of a map over the photo: {NOWHERE}"
        return (Problem("unsupported", reason, where="render"),)
    return ()


def _known(view: View, drawing: Drawing) -> InputRef:
    """Where in the photo the model looks, which a drawing over it has to be laid by."""
    if view.ref is None:
        message = f"{drawing.where} cannot be laid over the model's input: {NOWHERE}"
        raise problem("bad_value", message, where=drawing.where)
    return view.ref
