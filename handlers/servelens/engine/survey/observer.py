"""What hooks see in a dry run: which modules run, how often, inside which, and what they give."""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, Iterator, List, Optional, Set, Tuple

import torch
from torch import nn

from servelens.engine.survey.anatomy import Layer, ReceptiveField
from servelens.engine.survey.dataflow import Dataflow, LeafCall, Sources, tensors_in
from servelens.engine.survey.fields.field import HEIGHT, WIDTH, Field

# Poolings to a given size belong to the head, also where they happen to change nothing.
_POOLINGS_OF_A_HEAD = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_WINDOWED = (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d)


@dataclass
class _Record:
    """What is known of one module so far."""

    module: nn.Module
    calls: int = 0
    leaf: bool = True
    hands_on: bool = False
    output: Any = None
    field: Optional[Field] = None
    sources: Sources = frozenset()


@dataclass
class _Running:
    """A module's call that has begun and not ended."""

    module: nn.Module
    inputs: List[Tuple[torch.Tensor, int]]
    leaf: bool = True


@dataclass
class Observer:
    """Hooks the modules of one model while a `Dataflow` traces the same pass."""

    flow: Dataflow
    rows: int
    _records: Dict[str, _Record] = field(default_factory=dict)
    _running: List[_Running] = field(default_factory=list)
    _flows: List[Tuple[LeafCall, LeafCall]] = field(default_factory=list)
    _ended: Dict[LeafCall, int] = field(default_factory=dict)
    _versions: List[Tuple[str, torch.Tensor, int]] = field(default_factory=list)

    @contextmanager
    def hooks(self, model: nn.Module) -> Iterator[None]:
        """On every module inside the model that takes hooks."""
        with ExitStack() as handles:
            for name, module in _hookable_modules(model):
                before = module.register_forward_pre_hook(self._begin, with_kwargs=True)
                handles.callback(before.remove)
                handles.callback(module.register_forward_hook(self._end_of(name)).remove)
            yield

    def _begin(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if self._running:
            self._running[-1].leaf = False
        inputs = [(tensor, tensor._version) for tensor in tensors_in((args, kwargs))]
        self._running.append(_Running(module, inputs))

    def _end_of(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> Optional[torch.Tensor]:
            running = self._running.pop()
            while running.module is not module:  # calls whose error the model itself has caught
                running = self._running.pop()
            return self._end(name, running, output)

        return hook

    def _end(self, name: str, running: _Running, output: Any) -> Optional[torch.Tensor]:
        record = self._records.pop(name, None) or _Record(running.module)
        self._records[name] = record  # anew, so that records lie in the order of last calls
        handed_on = _is_untouched_input(output, running.inputs)
        replacement = None
        if running.leaf:
            if handed_on:  # a tensor of its own, or the input would seem to come from here
                replacement = output = output.view_as(output)
            self._claim(output, (name, record.calls))
        record.calls += 1
        record.leaf = record.leaf and running.leaf
        record.hands_on = running.leaf and handed_on
        record.output = output
        record.sources = self.flow.sources(output)
        record.field = self.flow.field(output) if isinstance(output, torch.Tensor) else None
        self._versions.extend((name, tensor, tensor._version) for tensor in tensors_in(output))
        return replacement

    def _claim(self, output: Any, call: LeafCall) -> None:
        origins = sorted(self.flow.sources(output), key=self._ended.__getitem__)
        self._flows.extend((origin, call) for origin in origins)
        self._ended[call] = len(self._ended)
        self.flow.claim(output, call)

    def layers(self) -> Tuple[Layer, ...]:
        """All modules that ran, in the order in which their last calls ended."""
        changed = {name for name, tensor, then in self._versions if tensor._version != then}
        return tuple(
            _layer(name, record, self.rows, name in changed)
            for name, record in self._records.items()
        )

    def edges(self) -> Tuple[Tuple[str, str], ...]:
        return tuple((self._name(origin), self._name(call)) for origin, call in self._flows)

    def telling(self, output: Any) -> FrozenSet[str]:
        """The layers that have a part in the output, do more than hand on or pool at the end, and
        give maps as [N, C, H, W] where they give maps."""
        behind = self._behind(output)
        return frozenset(
            name
            for name, record in self._records.items()
            if record.sources & behind
            and not record.hands_on
            and not isinstance(record.module, _POOLINGS_OF_A_HEAD)
            and not _has_channels_last(record.field)
        )

    def _behind(self, output: Any) -> Set[LeafCall]:
        """All leaf calls that the output depends on."""
        found: Set[LeafCall] = set(self.flow.sources(output))
        for origin, call in reversed(self._flows):
            if call in found:
                found.add(origin)
        return found

    def _name(self, call: LeafCall) -> str:
        name, index = call
        return name if index == self._records[name].calls - 1 else f"{name}#{index}"


def _hookable_modules(model: nn.Module) -> Iterator[Tuple[str, nn.Module]]:
    """TorchScript refuses hooks; what lies in such a module is part of what is around it."""
    scripted = {
        id(inner)
        for module in model.modules()
        if isinstance(module, torch.jit.ScriptModule)
        for inner in module.modules()
    }
    for name, module in model.named_modules():
        if name and id(module) not in scripted:
            yield name, module


def _is_untouched_input(output: Any, inputs: List[Tuple[torch.Tensor, int]]) -> bool:
    return any(output is tensor and tensor._version == then for tensor, then in inputs)


def _layer(name: str, record: _Record, rows: int, changed_in_place: bool) -> Layer:
    module, output = record.module, record.output
    by_row = isinstance(output, torch.Tensor) and output.shape[:1] == (rows,)
    tensor: Optional[torch.Tensor] = output if by_row else None
    windowed = isinstance(module, _WINDOWED)
    return Layer(
        name=name,
        type=type(module).__name__,
        calls=record.calls,
        shape=None if tensor is None else tuple(tensor.shape[1:]),
        stride=_pair(module.stride) if windowed else None,
        kernel=_pair(module.kernel_size) if windowed else None,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        receptive_field=_receptive_field(record.field),
        leaf=record.leaf,
        changed_in_place=changed_in_place,
        differentiable=tensor is not None and tensor.is_floating_point(),
    )


def _has_channels_last(field: Optional[Field]) -> bool:
    return field is not None and field.dimension(HEIGHT) == 1 and field.dimension(WIDTH) == 2


def _pair(value: Any) -> Tuple[int, int]:
    height, width = value if isinstance(value, (tuple, list)) else (value, value)
    return int(height), int(width)


def _receptive_field(field: Optional[Field]) -> Optional[ReceptiveField]:
    if field is None:
        return None
    on_a_grid = None not in (field.dimension(HEIGHT), field.dimension(WIDTH))
    if not on_a_grid and not field.whole:
        return None
    vertical, horizontal = field.spans
    return ReceptiveField(
        size=(_size(vertical.last - vertical.first), _size(horizontal.last - horizontal.first)),
        stride=(float(vertical.step), float(horizontal.step)),
        offset=((vertical.first + vertical.last) / 2, (horizontal.first + horizontal.last) / 2),
        whole=field.whole,
    )


def _size(reach: float) -> int:
    """Pixels from the first to the last one; between pixels (behind upsampling) it rounds up."""
    return math.ceil(round(reach, 6)) + 1
