"""Where what is asked beside maps gets its names resolved and its values checked."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple, Union

from torch import nn

from servelens.engine.budget import Limits
from servelens.engine.features.ablation import Edit
from servelens.engine.features.channels import check_channels
from servelens.engine.features.effects import RANKINGS
from servelens.engine.features.weights import weights_of
from servelens.engine.further.ablation import AblationAsk
from servelens.engine.further.declare import Further
from servelens.engine.further.receptive_field import FieldAsk
from servelens.engine.jobs import MapAsk, WeightsAsk
from servelens.engine.layers import Catalogue, LayerRef, bounded
from servelens.engine.targets import Classes, TargetRule
from servelens.protocol import (
    AblateRequest,
    FieldRequest,
    Problem,
    Request,
    problem,
    shorten,
)


class Inquiries:
    """Of one model. `size` is its input's, (height, width)."""

    def __init__(
        self,
        module: nn.Module,
        catalogue: Catalogue,
        classes: Classes,
        size: Tuple[int, int],
        limits: Limits,
    ) -> None:
        self._module = module
        self._catalogue = catalogue
        self._classes = classes
        self._size = size
        self._limits = limits

    def weights(self, request: Request) -> Tuple[WeightsAsk, ...]:
        asked = request.weights
        if asked is None:
            return ()
        layers = self._layers(asked.layers, asked.where)
        return tuple(self._weights(layer, asked.channels) for layer in layers)

    def rankings(self, request: Request, rules: Tuple[TargetRule, ...]) -> Tuple[MapAsk, ...]:
        """Methods that give a number for each channel; `rules` hold where no target is named."""
        asked = request.rank_channels
        if asked is None:
            return ()
        if asked.targets is not None:
            rules = self._classes.rules(asked.targets, "rank_channels.target")
        where = "rank_channels.layer"
        return tuple(
            MapAsk(
                RANKINGS[asked.mode],
                {},
                layer,
                rules,
                self._catalogue.shape(layer),
                self._has_no_channels(layer, where) or _not_in_parts(request),
                ranks=asked.mode,
            )
            for layer in self._layers((asked.layer,), where)
        )

    def further(self, request: Request) -> Tuple[Further, ...]:
        asked: List[Further] = []
        if request.ablate:
            asked.append(self._ablation(request.ablate))
        if request.receptive_field is not None:
            asked.append(self._field(request.receptive_field))
        return tuple(asked)

    def _weights(self, layer: LayerRef, channels: Union[int, str, Tuple[int, ...]]) -> WeightsAsk:
        module = self._module.get_submodule(layer.module)
        learned = weights_of(module)
        if learned is None:
            return WeightsAsk(layer, None, _no_weights(layer, module))
        check_channels(channels, len(learned.kernels), "weights.channels")
        return WeightsAsk(layer, learned)

    def _ablation(self, changes: Sequence[AblateRequest]) -> AblationAsk:
        edits: List[Tuple[LayerRef, Edit]] = []
        trouble: Optional[Problem] = None
        for change in changes:
            where = f"{change.where}.layer"
            for layer in self._layers((change.layer,), where):
                edits.append((layer, self._edit(layer, change)))
                trouble = trouble or self._has_no_channels(layer, where)
        return AblationAsk(tuple(edits), trouble)

    def _edit(self, layer: LayerRef, change: AblateRequest) -> Edit:
        shape = self._catalogue.shape(layer)
        if shape and change.channels is not None:
            check_channels(change.channels, shape[0], f"{change.where}.channels")
        return Edit(layer.module, change.channels, change.mode, change.factor)

    def _field(self, asked: FieldRequest) -> FieldAsk:
        layer = self._one_layer(asked.layer, "receptive_field.layer")
        shape, field = self._catalogue.shape(layer), self._catalogue.field(layer)
        if shape is None or len(shape) != 3:
            gives = "no single tensor" if shape is None else f"{list(shape)}"
            trouble = Problem(
                "unsupported",
                f"a receptive field is of a place, and {layer} gives {gives}",
                hint="ask for a layer of [channels, height, width]",
                where="receptive_field.layer",
            )
            return FieldAsk(layer, asked, None, field, self._size, trouble)
        check_channels((asked.channel,), shape[0], "receptive_field.channel")
        position = _position(asked.position, (shape[1], shape[2]), layer)
        return FieldAsk(layer, asked, position, field, self._size)

    def _layers(self, names: Sequence[str], where: str) -> Tuple[LayerRef, ...]:
        return bounded(self._catalogue.resolve_all(names, where), self._limits.layers, where)

    def _one_layer(self, name: str, where: str) -> LayerRef:
        layers = self._catalogue.resolve(name, where)
        if len(layers) > 1:
            raise problem(
                "bad_value",
                f"{shorten(name)} stands for {len(layers)} layers, and a unit is of one",
                hint=f"name one of them, {str(layers[0])!r} for instance",
                where=where,
            )
        return layers[0]

    def _has_no_channels(self, layer: LayerRef, where: str) -> Optional[Problem]:
        if self._catalogue.shape(layer):
            return None
        reason = f"{layer} gives no single tensor with channels for each image"
        return Problem("unsupported", reason, where=where)


def _no_weights(layer: LayerRef, module: nn.Module) -> Problem:
    own = ", ".join(name for name, _ in module.named_parameters(recurse=False))
    hint = f"its parameters have other names: {own}" if own else None
    if not own and any(True for _ in module.parameters()):
        hint = f"ask for what lies inside it, {layer.module + '.*'!r}"
    reason = f"{layer} has no weights of its own"
    return Problem("unsupported", reason, hint=hint, where="weights")


def _not_in_parts(request: Request) -> Optional[Problem]:
    if request.part is None:
        return None
    reason = "a ranking of channels does not come in parts"
    return Problem("unsupported", reason, hint="leave part out", where="part")


def _position(
    asked: Optional[Tuple[int, int]], places: Tuple[int, int], layer: LayerRef
) -> Tuple[int, int]:
    """As asked, or the centre."""
    if asked is None:
        return places[0] // 2, places[1] // 2
    if asked[0] >= places[0] or asked[1] >= places[1]:
        raise problem(
            "bad_value",
            f"{layer} has no place [{shorten(asked[0])}, {shorten(asked[1])}]",
            hint=f"its places are [0, 0] to [{places[0] - 1}, {places[1] - 1}]",
            where="receptive_field.position",
        )
    return asked
