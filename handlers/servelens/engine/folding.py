"""Batch norms folded into the convolutions before them: the same answers with fewer calls."""

from __future__ import annotations

import copy
from collections import Counter
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

# Of the largest logit: twenty times what float32 rounding alone was seen to make of folding.
TOLERANCE = 1e-5


def fold_norms(module: nn.Module) -> None:
    """In place: a norm that was folded is an identity from then on."""
    for convolution, norm in _pairs(with_shared_weights(module)):
        parts: Tuple[Any, Any] = (module.get_submodule(convolution), module.get_submodule(norm))
        _replace(module, convolution, fuse_conv_bn_eval(*parts))
        _replace(module, norm, nn.Identity())


def with_shared_weights(module: nn.Module) -> nn.Module:
    """A copy to hook and to rebuild; it costs no memory but for what is put in anew."""
    return copy.deepcopy(module, {id(weights): weights for weights in module.parameters()})


def _pairs(module: nn.Module) -> List[Tuple[str, str]]:
    """Names of convolutions, each with the batch norm that may be folded into it. Tracing runs
    the model's own code with stand-ins for tensors, which it may keep."""
    graph = fx.Tracer().trace(module)
    modules: Dict[str, nn.Module] = dict(module.named_modules())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    found = []
    for node in graph.nodes:
        before = _only_source(node, calls)
        if before is not None:
            convolution, norm = str(before.target), str(node.target)
            if isinstance(modules[convolution], nn.Conv2d) and _is_fixed(modules[norm]):
                found.append((convolution, norm))
    return found


def _only_source(node: fx.Node, calls: Counter[object]) -> Optional[fx.Node]:
    """The module call whose result goes into this one and nowhere else; neither may be shared."""
    before = node.args[0] if node.args else None
    if not isinstance(before, fx.Node) or node.op != "call_module" or before.op != "call_module":
        return None
    alone = len(before.users) == 1 and calls[before.target] == calls[node.target] == 1
    return before if alone else None


def _is_fixed(norm: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    """A batch norm that does the same to each batch."""
    return isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats


def _replace(module: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(module.get_submodule(parent), own, part)


def difference(before: torch.Tensor, after: torch.Tensor) -> float:
    """The largest between two answers, as a part of the largest logit."""
    largest = before.abs().max().item()
    return (before - after).abs().max().item() / max(largest, torch.finfo(before.dtype).tiny)
