"""What a test looks at while the engine works: a model's state, and the passes made of it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import nn

from servelens.engine.fast import Predictor
from servelens.engine.session import Session


def state_of(module: nn.Module) -> dict[str, Any]:
    """All that a pass might change on a model, or behind its back."""
    return {
        "hooks": {
            name: tuple(
                tuple(hooks)
                for hooks in (
                    inner._forward_hooks,
                    inner._forward_pre_hooks,
                    inner._backward_hooks,
                    inner._backward_pre_hooks,
                )
            )
            for name, inner in module.named_modules()
        },
        "training": {name: inner.training for name, inner in module.named_modules()},
        "requires_grad": {name: p.requires_grad for name, p in module.named_parameters()},
        "grad": {name: p.grad for name, p in module.named_parameters()},
        "values": {name: value.tolist() for name, value in module.state_dict().items()},
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "random numbers": torch.get_rng_state().tolist(),
        "function modes": torch.overrides._len_torch_function_stack(),
    }


@dataclass
class Passes:
    """Images that went forward and backward: as many as came out, where fewer went in and were
    joined by others on the way. A backward counts those that have a score in it."""

    predicted: list[int] = field(default_factory=list)
    forwards: list[int] = field(default_factory=list)
    backwards: list[int] = field(default_factory=list)


def both_of(session: Session) -> nn.ModuleList:
    """The model and its twin, where it has one: a pass may go through either."""
    return nn.ModuleList(dict.fromkeys((session.model.module, session.model.twin.module)))


@contextmanager
def counted(session: Session) -> Iterator[Passes]:
    """Counts at the doors of the real modules, those unrolled so far among them, and tells by who
    came in what the pass is for."""
    passes = Passes()
    predict, predicting = Predictor.__call__, []

    def as_predictor(predictor: Predictor, batch: torch.Tensor) -> torch.Tensor:
        predicting.append(predictor)
        try:
            return predict(predictor, batch)
        finally:
            predicting.pop()

    def entered(module: nn.Module, inputs: Any) -> None:
        (passes.predicted if predicting else passes.forwards).append(len(inputs[0]))

    def answered(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        counts = passes.predicted if predicting else passes.forwards
        counts[-1] = max(counts[-1], len(output))
        if output.requires_grad:
            output.register_hook(
                lambda gradient: passes.backwards.append(int(gradient.any(dim=1).sum()))
            )

    doors = [*both_of(session), *session.model.unrolled._made.values()]
    handles = [door.register_forward_pre_hook(entered) for door in doors]
    handles += [door.register_forward_hook(answered) for door in doors]
    try:
        with mock.patch.object(Predictor, "__call__", as_predictor):
            yield passes
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def remembered(module: nn.Module) -> Iterator[list[weakref.ref[torch.Tensor]]]:
    """Weak references to all that the model's modules give, and to the graph behind it."""
    seen: list[weakref.ref[torch.Tensor]] = []

    def remember(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor):
            seen.append(weakref.ref(output))

    handles = [inner.register_forward_hook(remember) for inner in module.modules()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
