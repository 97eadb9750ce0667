"""Functions of one number: what they are called in a model's code, and as modules."""

from __future__ import annotations

from typing import Optional

from torch import fx, nn

from servelens.engine.unrolled.calls import name_of

_MODULES = (
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,  # and ReLU6, which is one
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.Mish,
    nn.PReLU,
    nn.ReLU,
    nn.SELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Softplus,
    nn.Softsign,
    nn.Tanh,
    nn.Threshold,
)
_PLAIN = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "expit": nn.Sigmoid}
ACTIVATIONS = frozenset(
    [
        "celu",
        "elu",
        "expit",
        "gelu",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "leaky_relu",
        "logsigmoid",
        "mish",
        "prelu",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "softplus",
        "softsign",
        "tanh",
        "threshold",
    ]
)
NAMES = ACTIVATIONS | frozenset(
    [
        "abs",
        "clamp",
        "clamp_max",
        "clamp_min",
        "clip",
        "erf",
        "exp",
        "log",
        "pow",
        "reciprocal",
        "rsqrt",
        "sqrt",
        "square",
    ]
)


def is_module(module: Optional[nn.Module]) -> bool:
    return isinstance(module, _MODULES)


def plain_module(node: fx.Node) -> Optional[nn.Module]:
    """The module that this call of a function is, for those that nothing can be said about."""
    kind = _PLAIN.get(name_of(node) or "")
    return None if kind is None else kind()
