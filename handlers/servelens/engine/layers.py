"""The layers a caller may name: modules by name, globs of them, and earlier calls of one."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from servelens.protocol import TheoreticalField, did_you_mean, problem, shorten


@dataclass(frozen=True)
class LayerRef:
    """A module's output: of its last call in a pass, or of the one that is named."""

    module: str
    call: Optional[int] = None

    def __str__(self) -> str:
        return self.module if self.call is None else f"{self.module}#{self.call}"


def bounded(layers: Tuple[LayerRef, ...], most: int, where: str) -> Tuple[LayerRef, ...]:
    """The layers, unless they are too many for one request."""
    if len(layers) > most:
        raise problem(
            "bad_value",
            f"{len(layers)} layers are more than the {most} of one request",
            hint="ask for them in several requests",
            where=where,
        )
    return layers


class Catalogue:
    """The layers of a capability document, in execution order."""

    def __init__(self, layers: Sequence[Mapping[str, Any]]) -> None:
        self._layers: Dict[str, Mapping[str, Any]] = {layer["name"]: layer for layer in layers}

    def resolve(self, name: str, where: str) -> List[LayerRef]:
        """What a name or a glob stands for; raises unknown_layer where that is nothing."""
        if "*" in name or "?" in name:
            found = [LayerRef(known) for known in self._layers if fnmatchcase(known, name)]
        else:
            module, _, call = name.partition("#")
            found = [self._one(module, call, where)] if module in self._layers else []
        if not found:
            raise problem(
                "unknown_layer",
                f"{shorten(name)} is no layer of this model",
                hint=did_you_mean(name, self._layers),
                where=where,
            )
        return found

    def resolve_all(self, names: Sequence[str], where: str) -> Tuple[LayerRef, ...]:
        """Several names and globs in the order given, each layer once."""
        found: Dict[LayerRef, None] = {}
        for index, name in enumerate(names):
            place = where if len(names) == 1 else f"{where}[{index}]"
            found.update(dict.fromkeys(self.resolve(name, place)))
        return tuple(found)

    def shape(self, layer: LayerRef) -> Optional[Tuple[int, ...]]:
        """Of the layer's output without the batch; None where it gives no single tensor."""
        shape = self._layers[layer.module]["shape"]
        return None if shape is None else tuple(shape)

    def field(self, layer: LayerRef) -> Optional[TheoreticalField]:
        """What its units see by arithmetic; the survey knows that of a module's last call."""
        known, calls = self._layers[layer.module]["receptive_field"], self.calls(layer)
        if known is None or layer.call not in (None, calls - 1):
            return None
        size, stride, offset = (tuple(known[name]) for name in ("size", "stride", "offset"))
        return TheoreticalField(size, stride, offset, known["whole"])

    def calls(self, layer: LayerRef) -> int:
        """How often the module is called in a pass."""
        return int(self._layers[layer.module]["calls"])

    def _one(self, module: str, call: str, where: str) -> LayerRef:
        if not call:
            return LayerRef(module)
        calls = self._layers[module]["calls"]
        if not call.isdecimal() or len(call) > 9 or int(call) >= calls:
            raise problem(
                "unknown_layer",
                f"{module!r} is called {calls} times in a pass, there is no call {shorten(call)}",
                hint=f"calls are {module}#0 to {module}#{calls - 1}",
                where=where,
            )
        return LayerRef(module, int(call))
