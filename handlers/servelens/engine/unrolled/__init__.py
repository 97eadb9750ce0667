"""An equal model, spelled out for methods that walk backwards through modules by rules.

DeepLift and LRP need each call to be a module of its own with nothing in place, which ordinary
models are not: a ResNet's block calls one in-place ReLU twice and adds with a plus. Captum then
raises an error, or answers with numbers that mean nothing.
"""

from __future__ import annotations

import copy
from typing import Callable, Dict, Optional, Tuple

import torch
from torch import fx, nn

from servelens.engine.folding import difference, fold_norms, with_shared_weights
from servelens.engine.head import Head, HeadTap
from servelens.engine.state import borrowed, random_numbers_kept
from servelens.engine.unrolled.calls import NotUnrolledError
from servelens.engine.unrolled.conserving import conserve_relevance
from servelens.engine.unrolled.paired import pair_differences
from servelens.engine.unrolled.spelling import spell_out

__all__ = ["NotUnrolledError", "unroll"]

# Of the largest logit. Rounding alone was seen to make 2e-5 of GoogLeNet's on torch 2.4.
TOLERANCE = 5e-5


class AnswersDifferError(NotUnrolledError):
    """The rewritten model is not equal."""


def unroll(module: nn.Module, head: Head, example: torch.Tensor, *, for_lrp: bool) -> nn.Module:
    """A model for DeepLift or for LRP that gives the logits, whatever the module ends in. Its
    forward pass is the module's, its gradients are the method's own.

    Built and judged on the CPU, where float32 is exact, and left on the module's device, where
    the weights that no folding has changed are the module's own memory.
    """
    device = next(module.parameters(), example).device
    with torch.inference_mode(False), random_numbers_kept(device):
        original, lent = _beside(module)
        rewritten = _for_lrp if for_lrp else _for_deep_lift
        with borrowed(original):
            candidate = rewritten(original, head, example.detach().cpu())
        _give_back(candidate, lent)
        return candidate.to(device)


def _for_deep_lift(original: nn.Module, head: Head, example: torch.Tensor) -> nn.Module:
    return _unrolled(original, head, example, pair_differences)


def _for_lrp(original: nn.Module, head: Head, example: torch.Tensor) -> nn.Module:
    try:
        return _unrolled(original, head, example, conserve_relevance, fold_norms)
    except AnswersDifferError:  # a norm of next to no variance makes rounding errors large
        return _unrolled(original, head, example, conserve_relevance)


def _beside(module: nn.Module) -> Tuple[nn.Module, Dict[torch.Tensor, torch.Tensor]]:
    """The module on the CPU with flags and buffers of its own, whose weights are the module's where
    that is on the CPU too; and for each weight the module's own."""
    lent = {own: _frozen(own.detach().cpu()) for own in module.parameters()}
    beside = copy.deepcopy(module, {id(own): weight for own, weight in lent.items()}).cpu()
    return beside, {weight: _frozen(own.detach()) for own, weight in lent.items()}


def _give_back(candidate: nn.Module, lent: Dict[torch.Tensor, torch.Tensor]) -> None:
    """Weights that are still as they were lent become the module's own again."""
    for part in candidate.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            if weight in lent:
                setattr(part, name, lent[weight])


def _frozen(values: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


def _unrolled(
    original: nn.Module,
    head: Head,
    example: torch.Tensor,
    rewrite: Callable[[fx.GraphModule, torch.Tensor], None],
    fold: Optional[Callable[[nn.Module], None]] = None,
) -> nn.Module:
    try:
        traced = fx.symbolic_trace(with_shared_weights(original))
    except Exception as error:  # a model's own code can fail in any way on stand-ins for tensors
        raise NotUnrolledError(
            f"torch.fx cannot follow the model's code ({type(error).__name__}: {error})"
        ) from error
    try:
        spell_out(traced, head.kind, fold)
        rewrite(traced, _noise(example, rows=2))
        traced.graph.lint()
        traced.recompile()
        traced.delete_all_unused_submodules()
        candidate = traced.eval().requires_grad_(False)
        for rows in (1, 3):
            _check_answers(original, head, candidate, _noise(example, rows))
    except NotUnrolledError:
        raise
    except Exception as error:
        raise NotUnrolledError(
            f"the model cannot be rewritten ({type(error).__name__}: {error})"
        ) from error
    return candidate


def _check_answers(
    original: nn.Module, head: Head, candidate: nn.Module, batch: torch.Tensor
) -> None:
    with torch.inference_mode(), HeadTap(head.kind) as tap:
        before = tap.logits(original(batch.clone()))
    with torch.inference_mode():
        after = candidate(batch.clone())
    apart = difference(before, after) if before.shape == after.shape else float("inf")
    if not apart <= TOLERANCE:
        raise AnswersDifferError(
            f"the rewritten model answers differently, by {apart:.1g} of the largest logit; the "
            "model may change tensors in place through views, or draw random numbers"
        )


def _noise(example: torch.Tensor, rows: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rows)
    return torch.randn((rows, *example.shape[1:]), generator=generator, dtype=example.dtype)
