"""Where each tensor of a pass comes from: which leaf modules, and which part of the image.

A `Dataflow` watches the pass at the level of ATen operations, below modules and functions alike:
`F.relu`, `x.relu_()` and `nn.ReLU` look the same there, and an operation's schema tells what it
overwrites. It holds every tensor of the pass, so that no identity is used twice; it is for one
dry run of one image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, Iterator, List, Optional, Tuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from servelens.engine.survey.fields.call import Call
from servelens.engine.survey.fields.field import Field
from servelens.engine.survey.fields.rules import derive

# A leaf module by name, and which of its calls.
LeafCall = Tuple[str, int]
Sources = FrozenSet[LeafCall]


@dataclass(frozen=True)
class Trace:
    """The leaf calls that a tensor comes from directly, and its field if that is known."""

    sources: Sources
    field: Optional[Field]


class Dataflow(TorchDispatchMode):
    """Traces all tensors that stem from `image` while it is active."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__()
        self._traces: Dict[int, Trace] = {}
        self._held: List[torch.Tensor] = []
        self._by_storage: Dict[int, List[torch.Tensor]] = {}
        field = Field.of_image(image.shape) if image.dim() == 4 else None
        self._hold(image)
        self._traces[id(image)] = Trace(frozenset(), field)

    def sources(self, value: Any) -> Sources:
        """Of all tensors in a value, however it is nested."""
        traces = (self._traces.get(id(tensor)) for tensor in tensors_in(value))
        return frozenset(source for trace in traces if trace for source in trace.sources)

    def field(self, tensor: torch.Tensor) -> Optional[Field]:
        trace = self._traces.get(id(tensor))
        return trace.field if trace else None

    def claim(self, value: Any, source: LeafCall) -> None:
        """From here on what is made of these tensors comes from this leaf call."""
        for tensor in tensors_in(value):
            self._hold(tensor)
            self._traces[id(tensor)] = Trace(frozenset((source,)), self.field(tensor))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        inputs = [t for t in tensors_in((args, kwargs)) if id(t) in self._traces]
        outputs = list(tensors_in(result))
        for tensor in outputs:
            self._hold(tensor)
        if inputs and not _reads_no_values(func):
            self._follow(func, args, kwargs, inputs, outputs)
        return result

    def _follow(
        self,
        func: Any,
        args: Tuple[Any, ...],
        kwargs: Dict[str, Any],
        inputs: List[torch.Tensor],
        outputs: List[torch.Tensor],
    ) -> None:
        sources = self.sources(inputs)
        call = Call(func, args, kwargs, {id(t): self._traces[id(t)].field for t in inputs})
        fields = [derive(call, out) if out.numel() else None for out in outputs]
        overwritten = {id(t) for t in _overwritten(func, args, kwargs)}
        for tensor, field in zip(outputs, fields):
            before = self._traces.get(id(tensor))
            self._traces[id(tensor)] = Trace(sources, field)
            if id(tensor) in overwritten:
                self._spread(tensor, before)

    def _spread(self, written: torch.Tensor, before: Optional[Trace]) -> None:
        """What is written into a tensor also shows in all views of its memory."""
        after = self._traces[id(written)]
        unchanged = before is not None and _sees_the_same(before.field, after.field)
        for other in self._by_storage[_storage(written)]:
            if other is written:
                continue
            known = self._traces.get(id(other), Trace(frozenset(), None))
            alike = (other.shape, other.stride()) == (written.shape, written.stride())
            field = known.field if unchanged else after.field if alike else None
            self._traces[id(other)] = Trace(known.sources | after.sources, field)

    def _hold(self, tensor: torch.Tensor) -> None:
        self._held.append(tensor)
        self._by_storage.setdefault(_storage(tensor), []).append(tensor)


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in a nest of tuples, lists and mappings."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def _overwritten(
    func: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any]
) -> Iterator[torch.Tensor]:
    for index, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield from tensors_in(args[index] if index < len(args) else kwargs.get(argument.name))


def _reads_no_values(func: Any) -> bool:
    """`zeros_like(x)` and `x.new_zeros(...)` take a shape from x, nothing else."""
    name: str = func._schema.name.partition("::")[2]
    return name.endswith("_like") or name.startswith("new_")


def _sees_the_same(one: Optional[Field], other: Optional[Field]) -> bool:
    if one is None or other is None:
        return False
    return one.spans == other.spans and one.whole == other.whole


def _storage(tensor: torch.Tensor) -> int:
    """Where a tensor's memory lies; views of one memory have it in common."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse and other tensors without a storage
        return id(tensor)
