"""DeepLift and LRP by Captum, on a model that was unrolled for them."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator, List, Sequence, Tuple

import torch
from torch import nn
from torch.func import functional_call

from servelens.engine.targets import Chosen, Classes

# Captum's own: absolute, and so small that it only keeps zeros from dividing.
EPSILON = 1e-9

# What Captum's passes lay down on modules, and forget there when a pass fails, or always.
_LEFT_BEHIND = ("input", "output", "input_ref", "activation", "activations", "rule")


@dataclass(frozen=True)
class Relevance:
    """[N, C, H, W] signed values, and for each row what their sum misses."""

    values: torch.Tensor
    delta: torch.Tensor


def weights_of(chosen: Sequence[Chosen], classes: Classes) -> torch.Tensor:
    """[N, outputs]: what each row's target takes of each of the model's outputs, for the score of
    a class, or of a class against another, is a weighted sum of them."""
    outputs = 1 if classes.single_logit else classes.count
    taken = classes.logits(torch.eye(outputs))
    return torch.stack([one.score(taken) for one in chosen])


def deep_lift(
    model: nn.Module, batch: torch.Tensor, baselines: torch.Tensor, weights: torch.Tensor
) -> Relevance:
    """The rescale rule of Shrikumar et al., 2017. `model` is one unrolled for it, `baselines` are
    one for each row or one for all, `weights` make the scores of the logits."""
    from captum.attr import DeepLift

    with _lent(model, batch) as (scored, rows):
        values, delta = DeepLift(scored).attribute(
            rows,
            _alike(baselines, batch).expand_as(batch).clone(),
            additional_forward_args=(_alike(weights, batch),),
            return_convergence_delta=True,
        )
    return Relevance(values.detach(), delta.detach())


def deep_lift_shap(
    model: nn.Module, batch: torch.Tensor, baselines: torch.Tensor, weights: torch.Tensor
) -> Relevance:
    """The mean of DeepLift over [K, C, H, W] baselines (Lundberg and Lee, 2017), which all rows
    share: a pass of 2·N·K rows."""
    from captum.attr import DeepLiftShap

    if len(baselines) == 1:  # which Captum refuses
        return deep_lift(model, batch, baselines, weights)
    with _lent(model, batch) as (scored, rows):
        values, delta = DeepLiftShap(scored).attribute(
            rows,
            _alike(baselines, batch).clone(),
            additional_forward_args=(_alike(weights, batch),),
            return_convergence_delta=True,
        )
    return Relevance(values.detach(), delta.detach().view(len(batch), -1).mean(dim=1))


def lrp(
    model: nn.Module, batch: torch.Tensor, weights: torch.Tensor, *, epsilon: float = EPSILON
) -> Relevance:
    """The epsilon rule of Bach et al., 2015, in every layer. `model` is one unrolled for it, and
    `delta` is what biases and epsilon took."""
    with _lent(model, batch) as (scored, rows):
        (values,) = _propagate(scored, (rows,), _alike(weights, batch), epsilon)
        with torch.no_grad():
            scores = scored(rows, _alike(weights, batch))
    return Relevance(values.detach(), scores - values.detach().flatten(1).sum(dim=1))


def lrp_and_biases(
    model: nn.Module, image: torch.Tensor, weights: torch.Tensor
) -> Tuple[torch.Tensor, float]:
    """The relevance of one image, and the sum of what the model's biases take."""
    with _lent(model, image) as (scored, row):
        asked = _BiasesAsked(scored)
        biases = tuple(bias.detach().clone().requires_grad_(True) for bias in asked.biases())
        values, *taken = _propagate(asked, (row, *biases), _alike(weights, image), EPSILON)
        total = sum((share * bias).sum().item() for share, bias in zip(taken, biases))
    return values.detach(), total


def _propagate(
    scored: nn.Module, inputs: Tuple[torch.Tensor, ...], weights: torch.Tensor, epsilon: float
) -> Tuple[torch.Tensor, ...]:
    from captum.attr import LRP

    from servelens.engine.unrolled.captum_rules import set_rules

    set_rules(scored, epsilon)
    found: Tuple[torch.Tensor, ...] = LRP(scored).attribute(
        inputs, additional_forward_args=(weights,)
    )
    return found


class _Scored(nn.Module):
    """The model with a weighted sum of each row's logits for its answer."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.score = _Score()

    def forward(self, batch: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.score(self.model(batch), weights=weights)
        return scores


class _BiasesAsked(nn.Module):
    """Takes the biases as inputs, so that LRP tells what goes to them."""

    def __init__(self, scored: _Scored) -> None:
        super().__init__()
        self.scored = scored
        self.names = [name for name, _ in scored.named_parameters() if name.endswith("bias")]

    def biases(self) -> List[torch.Tensor]:
        return [self.scored.get_parameter(name) for name in self.names]

    def forward(self, row: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        biases, weights = rest[:-1], rest[-1]
        given = dict(zip(self.names, biases))
        scores: torch.Tensor = functional_call(self.scored, given, (row, weights))
        # A gate's biases have no part in the relevance, but torch wants a way to each.
        return scores + sum(0 * bias.sum() for bias in biases)


class _Score(nn.Module):
    """A module, so that LRP hands a score back to its logits in their proportions."""

    def forward(self, logits: torch.Tensor, *, weights: torch.Tensor) -> torch.Tensor:
        return (logits * weights).sum(dim=1)


@contextmanager
def _lent(model: nn.Module, batch: torch.Tensor) -> Iterator[Tuple[_Scored, torch.Tensor]]:
    """The model with scores, and a batch to find the relevance of. Captum takes
    its hooks away itself; what else it left on the modules goes when the pass ends."""
    try:
        with warnings.catch_warnings(), torch.inference_mode(False), torch.enable_grad():
            warnings.filterwarnings("ignore", message=r"\s*Setting forward, backward hooks")
            yield _Scored(model), batch.detach().clone().requires_grad_(True)
    finally:
        for module in model.modules():
            for name in _LEFT_BEHIND:
                module.__dict__.pop(name, None)


def _alike(tensor: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    return tensor.to(device=batch.device, dtype=batch.dtype)
