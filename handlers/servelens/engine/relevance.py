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

# What Captum's passes lay down on modules, and forget there when a pass fails, or always.
_LEFT_BEHIND = ("input", "output", "input_ref", "activation", "activations", "rule")


@dataclass(frozen=True)
class Relevance:
    """[N, C, H, W] signed values, and for each row the score, or the change of it, that they hand
    out."""

    values: torch.Tensor
    scores: torch.Tensor

    @property
    def delta(self) -> torch.Tensor:
        """By how much each row's sum is more than that."""
        return self.values.flatten(1).sum(dim=1) - self.scores


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
    one for each row or one for all, `weights` make the scores of the logits.

    One pass of both together, forward and back.
    """
    from captum.attr import DeepLift

    with _lent(model, batch) as (scored, rows):
        values = DeepLift(scored).attribute(
            rows,
            _alike(baselines, batch).expand_as(batch).clone(),
            additional_forward_args=(_alike(weights, batch),),
        )
        own, without = scored.scores.chunk(2)
    return Relevance(values.detach(), own - without)


def lrp(
    model: nn.Module, batch: torch.Tensor, weights: torch.Tensor, *, epsilon: float = 0.0
) -> Relevance:
    """The epsilon rule of Bach et al., 2015, in every layer. `model` is one unrolled for it, and
    `epsilon` is a share of what each layer's output typically is. Biases and epsilon take some of
    the score.

    Captum runs forward twice, and back once.
    """
    with _lent(model, batch) as (scored, rows):
        (values,) = _propagate(scored, (rows,), _alike(weights, batch), epsilon)
    return Relevance(values.detach(), scored.scores)


def lrp_and_biases(
    model: nn.Module, image: torch.Tensor, weights: torch.Tensor
) -> Tuple[torch.Tensor, float]:
    """The relevance of one image, and the sum of what the model's biases take."""
    with _lent(model, image) as (scored, row):
        asked = _BiasesAsked(scored)
        biases = tuple(bias.detach().clone().requires_grad_(True) for bias in asked.biases())
        values, *taken = _propagate(asked, (row, *biases), _alike(weights, image), epsilon=0.0)
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
    """The model with a weighted sum of each row's logits for its answer, which it remembers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.score = _Score()
        self.scores = torch.empty(0)

    def forward(self, batch: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.score(self.model(batch), weights=weights)
        self.scores = scores.detach()
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
