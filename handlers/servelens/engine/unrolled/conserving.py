"""A traced model made of what relevance can be handed back through: LRP's view of it.

Bach et al., 2015, hand back the relevance of a linear layer's output in the proportions in which
its inputs made it. So all that is linear becomes a module of its own with that rule. What comes
between hands relevance on as it is: activations (as usual: the pass rule) and reshapes. A gate's
product gives all to the signal and nothing to the gate (Arras et al., 2017), and a layer norm's
scale counts as a constant (Ali et al., 2022).
"""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import torch
from torch import fx, nn

from servelens.engine.unrolled import elementwise
from servelens.engine.unrolled.calls import (
    Copy,
    LayerNormAs,
    NotUnrolledError,
    Ruled,
    activations,
    as_call,
    call_between,
    call_instead,
    called_module,
    follow_shapes,
    name_of,
)

LINEAR_MODULES = (
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.AvgPool2d,
    nn.Conv2d,
    nn.ConvTranspose2d,
    nn.Linear,
    nn.MaxPool2d,
    nn.Upsample,
)
_LINEAR = frozenset(
    [
        "adaptive_avg_pool2d",
        "adaptive_max_pool2d",
        "add",
        "avg_pool2d",
        "conv2d",
        "interpolate",
        "linear",
        "max_pool2d",
        "mean",
        "neg",
        "sub",
        "sum",
    ]
)
_SCALING = frozenset(("mul", "truediv", "div"))
REARRANGING_MODULES = (
    nn.ChannelShuffle,
    nn.Flatten,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.Unflatten,
    nn.ZeroPad2d,
)
_REARRANGING = frozenset(
    [
        "cat",
        "channel_shuffle",
        "chunk",
        "clone",
        "concat",
        "contiguous",
        "flatten",
        "float",
        "getitem",
        "movedim",
        "pad",
        "permute",
        "pixel_shuffle",
        "reshape",
        "split",
        "squeeze",
        "stack",
        "to",
        "transpose",
        "unbind",
        "unsqueeze",
        "view",
    ]
)


def conserve_relevance(traced: fx.GraphModule, batch: torch.Tensor) -> None:
    """In place; raises NotUnrolledError at the first call that has no rule."""
    follow_shapes(traced, batch)
    for node in list(traced.graph.nodes):
        if node.op in ("call_module", "call_function", "call_method") and activations(node):
            _conserve(traced, node)
    _part_from_siblings(traced)


def _conserve(traced: fx.GraphModule, node: fx.Node) -> None:
    module, name = called_module(traced, node), name_of(node)
    if module is not None:
        if not isinstance(module, (*LINEAR_MODULES, *REARRANGING_MODULES)):
            call = call_instead(traced, node, _conserving_module(module), activations(node))
            call.meta["gates"] = isinstance(module, (nn.Sigmoid, nn.Hardsigmoid))
    elif node.meta["shape"] is not None and name not in _REARRANGING:
        replaced = call_instead(traced, node, *_conserving_call(node))
        replaced.meta["gates"] = name in ("sigmoid", "hardsigmoid")


def _conserving_call(
    node: fx.Node,
) -> Tuple[nn.Module, Sequence[fx.Node], Dict[str, fx.Node]]:
    """For a call of a function: the module to call instead, and with what."""
    name, number, (call, inputs, others) = name_of(node), _number_added(node), as_call(node)
    if number is not None:
        return Shift(number), inputs, {}
    if name == "layer_norm":
        call.function = layer_norm
        return call, inputs, others
    if name in elementwise.ACTIVATIONS and len(inputs) == 1:
        return Ruled(Pass, call), inputs, others
    if name == "mul" and len(inputs) == 2:
        return Ruled(SignalTakesAll, torch.mul), _signal_first(inputs), {}
    if name in _LINEAR or (name in _SCALING and _scales(node, inputs)):
        return call, inputs, others
    raise NotUnrolledError(f"LRP has no rule for a call of {name}")


def _scales(node: fx.Node, inputs: Sequence[fx.Node]) -> bool:
    """Whether one tensor is multiplied, by no tensor and not by itself, or divided."""
    factors = [arg for arg in node.args if arg in inputs]
    return len(factors) == 1 and (name_of(node) == "mul" or node.args[0] is factors[0])


def _conserving_module(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.LayerNorm):
        return LayerNormAs(layer_norm, module)
    if isinstance(module, nn.BatchNorm2d):
        if module.running_mean is None:
            raise NotUnrolledError("LRP has no rule for a norm whose rows influence each other")
        return Affine(module)
    if elementwise.is_module(module):
        return Ruled(Pass, module)
    raise NotUnrolledError(f"LRP has no rule for a module {type(module).__name__}")


def _signal_first(factors: Tuple[fx.Node, ...]) -> List[fx.Node]:
    """A gate has fewer numbers than what it scales, or comes out of a sigmoid."""
    sizes = [math.prod(factor.meta["shape"]) for factor in factors]
    gates = [i for i in (0, 1) if sizes[i] < sizes[1 - i]]
    gates = gates or [i for i in (0, 1) if factors[i].meta.get("gates")]
    if len(gates) != 1:
        raise NotUnrolledError(
            "LRP has no rule for a product of two tensors of which none is a gate"
        )
    return [factors[1 - gates[0]], factors[gates[0]]]


def _part_from_siblings(traced: fx.GraphModule) -> None:
    """By Captum's hooks a tensor hands back a ratio for each linear module that reads it, and
    relevance itself for what does not; the two must not be added up."""
    for node in list(traced.graph.nodes):
        handing_on = [user for user in node.users if not _is_linear(traced, user)]
        if node.meta["shape"] is not None and 0 < len(handing_on) < len(node.users):
            for user in handing_on:
                call_between(traced, node, user, Copy())


def _is_linear(traced: fx.GraphModule, node: fx.Node) -> bool:
    module = called_module(traced, node)
    return module is not None and not isinstance(module, (Ruled, *REARRANGING_MODULES))


def _number_added(node: fx.Node) -> Optional[float]:
    """What is added to a tensor, where that is a number."""
    name = name_of(node)
    if name not in ("add", "sub") or len(node.args) != 2 or node.kwargs:
        return None
    first, second = node.args
    if isinstance(second, (int, float)):
        return -second if name == "sub" else second
    return first if isinstance(first, (int, float)) and name == "add" else None


class Shift(nn.Module):
    """Adds a number, which is a bias by another name."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(float(number)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.bias


class Affine(nn.Module):
    """A batch norm that no convolution could take in, as the linear layer that it is."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None and norm.running_var is not None
        scale = (norm.running_var + norm.eps).rsqrt()
        shift = -norm.running_mean * scale
        if norm.affine:
            scale, shift = scale * norm.weight, shift * norm.weight + norm.bias
        self.weight, self.bias = (nn.Parameter(t.detach().view(-1, 1, 1)) for t in (scale, shift))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight + self.bias


class Pass(torch.autograd.Function):
    """Relevance goes through as it is."""

    @staticmethod
    def forward(ctx: Any, run: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return run(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        return None, gradients[0]


class SignalTakesAll(torch.autograd.Function):
    """Of a signal times its gate."""

    @staticmethod
    def forward(
        ctx: Any, run: Callable[..., torch.Tensor], signal: torch.Tensor, gate: torch.Tensor
    ) -> torch.Tensor:
        return run(signal, gate)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        return None, gradients[0], None


def layer_norm(
    x: torch.Tensor,
    normalized_shape: Tuple[int, ...],
    weight: Optional[torch.Tensor] = None,
    bias: Optional[torch.Tensor] = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """torch's, with the scale taken for a constant, which makes it linear."""
    dims = tuple(range(-len(normalized_shape), 0))
    centred = x - x.mean(dims, keepdim=True)
    scale = centred.detach().square().mean(dims, keepdim=True).add(eps).rsqrt()
    answer = centred * scale
    if weight is not None:
        answer = answer * weight
    return answer if bias is None else answer + bias
