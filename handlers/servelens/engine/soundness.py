"""Whether DeepLift and LRP keep their promise on a model, tried before anybody asks for them.

Both hand out a score without loss, so both can be held to account: DeepLift's relevance adds up to
the score's difference from the baseline's; LRP's adds up to the score, less what the biases take,
which in a trained network is most of it. So these are asked too: to LRP each is one more input.
"""

from __future__ import annotations

import math
from typing import Callable, Optional

import torch
from torch import nn

from servelens.engine.relevance import deep_lift, lrp_and_biases

# Of what is handed out. In float32 a dozen families of torchvision miss by 1e-5 at most; a single
# maximum over a small gate, which has no rule, misses by 1e-2.
TOLERANCE = 1e-3
# Of the largest logit: what rounding alone makes of a model that hardly heeds its input.
ROUNDING = 1e-5


def judge_deep_lift(model: nn.Module, example: torch.Tensor) -> Optional[str]:
    """Why DeepLift is not to be believed on this unrolled model, or None."""

    def miss(image: torch.Tensor) -> float:
        baseline = torch.zeros_like(image)
        with torch.inference_mode():
            logits, without = model(image.clone()), model(baseline.clone())
        found = deep_lift(model, image, baseline, _weights_of_largest(logits))
        change = (logits - without).abs().max().item()
        missing = found.delta.abs().max().item() if _finite(found.values) else math.inf
        return missing / _at_least(change, logits)

    return _verdict(
        "deep_lift", "the relevance of a test image misses the change of the score", example, miss
    )


def judge_lrp(model: nn.Module, example: torch.Tensor) -> Optional[str]:
    """Why LRP is not to be believed on this unrolled model, or None."""

    def miss(image: torch.Tensor) -> float:
        with torch.inference_mode():
            logits = model(image.clone())
        weights = _weights_of_largest(logits)
        values, biases = lrp_and_biases(model, image, weights)
        if not _finite(values):
            return math.inf
        score = (logits * weights).sum().item()
        return abs(values.sum().item() + biases - score) / _at_least(abs(score), logits)

    return _verdict("lrp", "relevance, with what biases take, misses the score", example, miss)


def _verdict(
    method: str, what: str, example: torch.Tensor, miss: Callable[[torch.Tensor], float]
) -> Optional[str]:
    try:
        worst = max(miss(_noise(example, seed)) for seed in (0, 1))
    except Exception as error:  # a rule meets what it was not made for, or the model fails
        return f"{method} fails on this model: {type(error).__name__}: {error}"
    if worst <= TOLERANCE:
        return None
    return f"{method} does not add up on this model: {what} by {worst:.2g} times as much"


def _weights_of_largest(logits: torch.Tensor) -> torch.Tensor:
    """Those of the logit that is furthest from 0: it is what rounding can hide least."""
    return nn.functional.one_hot(logits.abs().argmax(dim=1), logits.shape[1])


def _at_least(amount: float, logits: torch.Tensor) -> float:
    """The amount, but no less than what makes an error that is rounding's tolerable."""
    rounding = ROUNDING * logits.abs().max().item() / TOLERANCE
    return max(amount, rounding, torch.finfo(logits.dtype).tiny)


def _finite(values: torch.Tensor) -> bool:
    return bool(torch.isfinite(values).all())


def _noise(example: torch.Tensor, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((1, *example.shape[1:]), generator=generator, dtype=example.dtype)
    return noise.to(example.device)
