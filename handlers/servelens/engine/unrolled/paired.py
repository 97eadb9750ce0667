"""DeepLift's rules for what Captum gives the plain gradient, or breaks on.

Captum runs DeepLift on a batch of inputs followed by their baselines, so that each half knows the
other. Backwards it replaces a rectifier's slope by (change of the output) / (change of the input),
the rescale rule of Shrikumar et al., 2017, but knows few activations. Its rule for max pooling
loses what a pixel gives to more than one window, takes the first row's gradient for every row's
(captum issue 1276), and is not heard by a rectifier right before it. The rules here fill in for
both. They take a batch for such a pair of halves, which makes a gradient through them good for
nothing but DeepLift.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, Optional, Tuple

import torch
from torch import fx, nn
from torch.nn import functional

from servelens.engine.unrolled import elementwise
from servelens.engine.unrolled.calls import (
    Copy,
    LayerNormAs,
    Ruled,
    activations,
    as_call,
    call_between,
    call_instead,
    called_module,
    follow_shapes,
    name_of,
)

# A change smaller than this is float32's rounding, and its ratio means nothing.
SMALLEST_CHANGE = 1e-6

KNOWN_TO_CAPTUM = (nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus)


def pair_differences(traced: fx.GraphModule, batch: torch.Tensor) -> None:
    """In place: each call that is not linear gets a rule that adds up, where there is one."""
    follow_shapes(traced, batch)
    for node in list(traced.graph.nodes):
        if node.meta["shape"] is not None and activations(node):
            _pair(traced, node)
    _part_hooks(traced)


def _pair(traced: fx.GraphModule, node: fx.Node) -> None:
    module, name, sources = called_module(traced, node), name_of(node), activations(node)
    if module is not None:
        paired = _paired_module(module)
        if paired is not None:
            call_instead(traced, node, paired, sources)
        return
    call, inputs, others = as_call(node)
    if name == "layer_norm":
        call.function = layer_norm
        call_instead(traced, node, call, inputs, others)
    elif name in ("max_pool2d", "adaptive_max_pool2d"):
        call.function = _telling(getattr(functional, name))
        call_instead(traced, node, Ruled(PairedMaximum, call), inputs, others)
    elif name == "mul" and len(sources) == 2:
        call_instead(traced, node, Ruled(PairedProduct, torch.mul), inputs)
    elif len(sources) == 1 and (name in elementwise.NAMES or _is_square(node)):
        plain = elementwise.plain_module(node)
        ruled = Ruled(Rescale, call) if plain is None else plain
        call_instead(traced, node, ruled, inputs, others)


def _paired_module(module: nn.Module) -> Optional[nn.Module]:
    if isinstance(module, nn.LayerNorm):
        return LayerNormAs(layer_norm, module)
    if isinstance(module, nn.MaxPool2d):
        window = (module.kernel_size, module.stride, module.padding, module.dilation)
        pool = partial(functional.max_pool2d, ceil_mode=module.ceil_mode)
        return Ruled(PairedMaximum, lambda x: _telling(pool)(x, *window))
    if isinstance(module, nn.AdaptiveMaxPool2d):
        pool = partial(functional.adaptive_max_pool2d, output_size=module.output_size)
        return Ruled(PairedMaximum, _telling(pool))
    if elementwise.is_module(module) and type(module) not in KNOWN_TO_CAPTUM:
        return Ruled(Rescale, module)
    return None


def _telling(pool: Callable[..., Any]) -> Callable[..., Any]:
    """The pooling, and where each maximum was; whatever its call says about that."""
    return lambda *args, **kwargs: pool(*args, **{**kwargs, "return_indices": True})


def _is_square(node: fx.Node) -> bool:
    return name_of(node) == "mul" and node.args[0] is node.args[1]


def _part_hooks(traced: fx.GraphModule) -> None:
    """Captum's hook on an activation's input replaces the gradient of all who read that tensor,
    and too late for the activation that gave it, if one did."""
    for node in list(traced.graph.nodes):
        if _is_hooked(traced, node):
            (source,) = node.all_input_nodes
            if len(source.users) > 1 or _is_hooked(traced, source):
                call_between(traced, source, node, Copy())


def _is_hooked(traced: fx.GraphModule, node: fx.Node) -> bool:
    return type(called_module(traced, node)) in KNOWN_TO_CAPTUM


class Rescale(torch.autograd.Function):
    """Of a function of one number: the change of its output over the change of its input."""

    @staticmethod
    def forward(ctx: Any, run: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        answer = run(x)
        ctx.run = run
        ctx.save_for_backward(x, answer)
        return answer

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        x, answer = ctx.saved_tensors
        change, answered = _change(x), _change(answer)
        small = change.abs() < SMALLEST_CHANGE
        slope = torch.where(small, _slope(ctx.run, _middle(x)), answered / change)
        return None, gradients[0] * _twice(slope)


class PairedMaximum(torch.autograd.Function):
    """Of max pooling, which here also tells where each maximum was: what a window's maximum rose
    by, as far as both halves' maxima explain it, goes to the input's place of it, and what it
    fell by to the baseline's. Each place's sum over windows is spread over its own change."""

    @staticmethod
    def forward(ctx: Any, run: Callable[..., Any], x: torch.Tensor) -> torch.Tensor:
        answer, places = run(x)
        ctx.save_for_backward(x, answer, places)
        return answer

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        x, answer, places = ctx.saved_tensors

        def back(values: torch.Tensor) -> torch.Tensor:
            empty = torch.zeros_like(x).flatten(2)
            return empty.scatter_add(2, places.flatten(2), values.flatten(2)).view(x.shape)

        own, baseline = answer.chunk(2)
        larger = torch.maximum(own, baseline)
        moved = sum(back(gradients[0] * torch.cat((larger - baseline, own - larger))).chunk(2))
        change = _change(x)
        plain = sum(back(gradients[0]).chunk(2)) / 2
        return None, _twice(torch.where(change.abs() < SMALLEST_CHANGE, plain, moved / change))


class PairedProduct(torch.autograd.Function):
    """Of a product: each factor's change times the mean of the other's two values, the one
    division of a1·b1 - a0·b0 that treats both alike (their Shapley values)."""

    @staticmethod
    def forward(
        ctx: Any, run: Callable[..., torch.Tensor], a: torch.Tensor, b: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(a, b)
        return run(a, b)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        a, b = ctx.saved_tensors
        to_a, to_b = (gradients[0] * _twice(_middle(other)) for other in (b, a))
        return None, to_a.sum_to_size(a.shape), to_b.sum_to_size(b.shape)


def layer_norm(
    x: torch.Tensor,
    normalized_shape: Tuple[int, ...],
    weight: Optional[torch.Tensor] = None,
    bias: Optional[torch.Tensor] = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """torch's, out of parts that have rules: x - mean, times a function of its variance."""
    dims = tuple(range(-len(normalized_shape), 0))
    centred = x - x.mean(dims, keepdim=True)
    variance = Rescale.apply(torch.square, centred).mean(dims, keepdim=True)
    scale = Rescale.apply(torch.rsqrt, variance + eps)
    answer: torch.Tensor = PairedProduct.apply(torch.mul, centred, scale)
    if weight is not None:
        answer = answer * weight
    return answer if bias is None else answer + bias


def _change(pair: torch.Tensor) -> torch.Tensor:
    own, baseline = pair.chunk(2)
    return own - baseline


def _middle(pair: torch.Tensor) -> torch.Tensor:
    own, baseline = pair.chunk(2)
    return (own + baseline) / 2


def _twice(half: torch.Tensor) -> torch.Tensor:
    return torch.cat((half, half))


def _slope(run: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    with torch.enable_grad():
        point = x.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(run(point).sum(), point)
    return slope
