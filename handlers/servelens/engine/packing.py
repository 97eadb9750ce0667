"""The weights of convolutions, laid out once as oneDNN reads them.

On a CPU torch lays them out anew in each call, which is a sixth of what a single image costs. Those
that are kept are used where no graph is made. Elsewhere, and on a torch that lacks the operators,
which are those that its own compiler calls, a convolution is what it always is.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from servelens.engine.folding import TOLERANCE, difference

logger = logging.getLogger(__name__)

Pair = Union[int, Sequence[int]]


class Convolution(NamedTuple):
    """One call of `torch.conv2d`, as it takes its arguments."""

    input: torch.Tensor
    weight: torch.Tensor
    bias: Optional[torch.Tensor] = None
    stride: Pair = 1
    padding: Union[Pair, str] = 0
    dilation: Pair = 1
    groups: int = 1

    @property
    def way(self) -> Tuple[List[int], List[int], List[int], int]:
        return _pair(self.padding), _pair(self.stride), _pair(self.dilation), self.groups

    @property
    def is_plain(self) -> bool:
        """No graph is made of it, and nothing is asked that needs another layout."""
        image, tensors = self.input, (self.input, self.weight, self.bias)
        of_graph = torch.is_grad_enabled() and any(
            t is not None and t.requires_grad for t in tensors
        )
        fits = image.dim() == 4 and image.dtype == torch.float32 and image.device.type == "cpu"
        return fits and not of_graph and not isinstance(self.padding, str)


@dataclass(frozen=True)
class Packed:
    """A weight as oneDNN reads it, and which of the weight's versions this is."""

    weight: torch.Tensor
    version: int

    @classmethod
    def of(cls, call: Convolution) -> Packed:
        lay_out = torch.ops.mkldnn._reorder_convolution_weight
        weight = lay_out(call.weight.detach(), *call.way, list(call.input.shape))
        return cls(weight, call.weight._version)

    def answer(self, call: Convolution) -> torch.Tensor:
        convolve = torch.ops.mkldnn._convolution_pointwise
        answer: torch.Tensor = convolve(
            call.input, self.weight, call.bias, *call.way, "none", [], ""
        )
        return answer


# By weight; what is packed goes when its weight does.
_packed: Any = WeakIdKeyDictionary()


class Packs(TorchFunctionMode):
    """While it is entered, convolutions use what is packed for their weights."""

    def __torch_function__(
        self, func: Any, types: Any, args: Tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not torch.conv2d:
            return func(*args, **kwargs)
        call = Convolution(*args, **kwargs)
        packed = _packed.get(call.weight)
        if packed is None or packed.version != call.weight._version or not call.is_plain:
            return func(*args, **kwargs)
        return packed.answer(call)


class _Packing(TorchFunctionMode):
    """Packs the weights that convolutions are seen to use, where they answer the same with it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._left: Set[int] = {id(weight) for weight in module.parameters()}

    def __torch_function__(
        self, func: Any, types: Any, args: Tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        answer = func(*args, **kwargs)
        if func is torch.conv2d:
            call = Convolution(*args, **kwargs)
            if id(call.weight) in self._left and call.is_plain:
                self._left.remove(id(call.weight))
                self._pack(call, answer)
        return answer

    def _pack(self, call: Convolution, answer: torch.Tensor) -> None:
        packed = Packed.of(call)
        if difference(answer, packed.answer(call)) <= TOLERANCE:
            _packed[call.weight] = packed


def pack(module: nn.Module, example: torch.Tensor) -> None:
    """The weights of the module's convolutions, for images like the example."""
    try:
        with torch.inference_mode(), _Packing(module):
            module(example.clone())
    except Exception as error:  # torch promises nothing of these operators
        logger.info("weights are not packed: %s", error)


def _pair(value: Any) -> List[int]:
    return [value, value] if isinstance(value, int) else list(value)
