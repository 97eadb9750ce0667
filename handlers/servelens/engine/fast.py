"""The model for rows that only predict: the same answers, made faster, with nothing to hook."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from typing import TYPE_CHECKING, Dict, Optional

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from servelens.engine.head import Head, HeadTap

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

logger = logging.getLogger(__name__)

# Of the largest logit: twenty times what float32 rounding alone was seen to make of folding.
TOLERANCE = 1e-5


class Predictor:
    """Plain predictions, in the dtype that the recipe names."""

    def __init__(self, module: nn.Module, head: Head, dtype: torch.dtype) -> None:
        self._module = module.to(dtype)
        self._head = head
        self._dtype = dtype

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """The model's logits in float32."""
        with torch.inference_mode(), HeadTap(self._head.kind) as tap:
            return tap.logits(self._module(batch.to(self._dtype))).float()


def folded(module: nn.Module, example: torch.Tensor) -> nn.Module:
    """A copy with batch norms folded into the convolutions before them, or an unchanged one where
    that cannot be done or would change the answers. Judged on the CPU, where float32 is exact."""
    try:
        candidate = _fold(copy.deepcopy(module))
        if all(_answers_agree(module, candidate, example, rows) for rows in (1, 3)):
            return candidate
        logger.info("predictions run unfolded: folding batch norms would change the answers")
    except Exception as error:  # a model that cannot be traced can fail in any way
        logger.info("predictions run unfolded: the model cannot be traced (%s)", error)
    return copy.deepcopy(module)


def _fold(module: nn.Module) -> nn.Module:
    traced = fx.symbolic_trace(module)
    modules: Dict[str, nn.Module] = dict(traced.named_modules())
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    for node in list(traced.graph.nodes):
        before = _only_source(node, calls)
        if before is None:
            continue
        convolution, norm = modules.get(str(before.target)), modules.get(str(node.target))
        if isinstance(convolution, nn.Conv2d) and _is_fixed(norm):
            _replace(traced, str(before.target), fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.recompile()
    return traced


def _only_source(node: fx.Node, calls: Counter[object]) -> Optional[fx.Node]:
    """The module call whose result goes into this one and nowhere else; neither may be shared."""
    before = node.args[0] if node.args else None
    if not isinstance(before, fx.Node) or node.op != "call_module" or before.op != "call_module":
        return None
    alone = len(before.users) == 1 and calls[before.target] == calls[node.target] == 1
    return before if alone else None


def _is_fixed(norm: Optional[nn.Module]) -> TypeGuard[nn.BatchNorm2d]:
    """A batch norm that does the same to each batch."""
    return isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats


def _replace(module: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(module.get_submodule(parent), own, part)


def _answers_agree(
    module: nn.Module, candidate: nn.Module, example: torch.Tensor, rows: int
) -> bool:
    noise = torch.Generator().manual_seed(rows)
    batch = torch.randn((rows, *example.shape[1:]), generator=noise)
    with torch.inference_mode():
        before, after = module(batch), candidate(batch)
    largest = before.abs().max().item()
    return bool((before - after).abs().max().item() <= TOLERANCE * largest)
