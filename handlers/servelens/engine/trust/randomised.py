"""The model with random weights, in three stages from the head back to the input.

A copy is made for a check and dropped after it, so that the model's own weights are never touched
and no memory stays taken. What makes the copies the same each time is the seed.
"""

from __future__ import annotations

import copy
from typing import Iterator, List, Sequence, Tuple

import torch
from torch import nn

from servelens.engine.model import Model

STAGES = 3
# The same for all requests: what differs between two cards is the map.
SEED = 0


def randomised(model: Model, order: Sequence[str]) -> Iterator[Model]:
    """One model for each stage, each the last one gone further; use it before asking for more."""
    with torch.no_grad():  # or TorchScript's copies would hang on the weights they come from
        module = copy.deepcopy(model.module)
    weights = dict(module.named_parameters())
    generator = torch.Generator().manual_seed(SEED)
    for names in stages(module, order):
        for name in names:
            forget(weights[name], generator)
        yield model.with_module(module)


def stages(module: nn.Module, order: Sequence[str]) -> Tuple[List[str], ...]:
    """What each stage adds, by name: the weights of as many modules in each, the last ones first.
    `order` names the modules in the order in which they answer."""
    turns = {name: turn for turn, name in enumerate(order)}
    by_turn: List[Tuple[int, str]] = []
    for name, _ in module.named_parameters():
        owner = name.rpartition(".")[0]
        # A module that is never called itself answers where the one that holds it does.
        while owner and owner not in turns:
            owner = owner.rpartition(".")[0]
        by_turn.append((turns.get(owner, -1), name))
    last_first = sorted({turn for turn, _ in by_turn}, reverse=True)
    stage_of = {turn: place * STAGES // len(last_first) for place, turn in enumerate(last_first)}
    return tuple([n for turn, n in by_turn if stage_of[turn] == stage] for stage in range(STAGES))


def forget(weights: torch.Tensor, generator: torch.Generator) -> None:
    """In place. Filters and matrices are drawn anew, as large as they were in the mean square, so
    that signals neither die nor explode; one number a channel, as norms and biases have, is dealt
    to another channel, so that no scale is turned to its negative."""
    with torch.no_grad():
        if weights.dim() < 2:
            dealt = torch.randperm(weights.numel(), generator=generator).to(weights.device)
            weights.copy_(weights.flatten()[dealt].view_as(weights))
        else:
            drawn = torch.randn(weights.shape, generator=generator).to(weights)
            weights.copy_(drawn * weights.square().mean().sqrt())
