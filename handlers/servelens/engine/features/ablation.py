"""A model with some channels silenced, levelled or scaled, for as long as a block lasts."""

from __future__ import annotations

import itertools
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import torch
from torch import nn

from servelens.engine.state import forward_hooks


@dataclass(frozen=True)
class Edit:
    """A change to channels of what a module gives: "zero", "mean" (each value becomes its own
    channel's mean over all places) or "scale" by the factor.

    `channels` None means all of them, `call` None every call of the module in a pass, a number
    that call alone.
    """

    module: str
    channels: Optional[Tuple[int, ...]] = None
    mode: str = "zero"
    factor: float = 0.0
    call: Optional[int] = None

    def apply(self, values: torch.Tensor) -> None:
        """To [N, C, ...], in place."""
        chosen = slice(None) if self.channels is None else list(self.channels)
        values[:, chosen] = self._changed(values[:, chosen])

    def _changed(self, part: torch.Tensor) -> torch.Tensor:
        if self.mode == "zero":
            return torch.zeros_like(part)
        if self.mode == "scale":
            return part * self.factor
        if self.mode != "mean":
            raise ValueError(f"'{self.mode}' is no mode of an edit: zero, mean or scale")
        places = tuple(range(2, part.dim()))
        return part.mean(dim=places, keepdim=True).expand_as(part) if places else part


@contextmanager
def ablated(module: nn.Module, edits: Sequence[Edit]) -> Iterator[nn.Module]:
    """The module with all of the edits, those of one layer in the order given; after the block it
    is as it was, whatever happened inside."""
    by_name: Dict[str, List[Edit]] = {}
    for edit in edits:
        by_name.setdefault(edit.module, []).append(edit)
    layers = {name: _Edited(own) for name, own in by_name.items()}

    def begin(module: nn.Module, inputs: Any) -> None:
        for layer in layers.values():
            layer.begin()

    with ExitStack() as stack:
        stack.callback(module.register_forward_pre_hook(begin).remove)
        stack.enter_context(forward_hooks(module, {n: layer.hook for n, layer in layers.items()}))
        yield module


class _Edited:
    """One layer's edits, and which of its calls in a pass comes next."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits = edits
        self.begin()

    def begin(self) -> None:
        self._calls = itertools.count()

    @property
    def hook(self) -> Callable[..., Optional[torch.Tensor]]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> Optional[torch.Tensor]:
            call = next(self._calls)
            due = [edit for edit in self._edits if edit.call in (None, call)]
            if not due:
                return None
            if not isinstance(output, torch.Tensor):
                raise TypeError(f"a {type(module).__name__} gives no single tensor to change")
            # What the module gave stays as it is: others may hold it, and in place may go through.
            changed = output.clone()
            for edit in due:
                edit.apply(changed)
            return changed

        return hook
