"""LRP's rules as Captum wants them. The only module that imports Captum when it is imported, so
that it is imported where LRP runs and nowhere else."""

from __future__ import annotations

from typing import Any, Callable

import torch
from captum.attr._utils.lrp_rules import EpsilonRule, PropagationRule
from torch import nn

from servelens.engine.unrolled.calls import Ruled
from servelens.engine.unrolled.conserving import REARRANGING_MODULES

# Captum's own: absolute, and so small that it only keeps zeros from dividing.
SMALLEST = 1e-9


class ShareOfOutput(EpsilonRule):
    """Keeps small outputs from dividing, small by what the layer gives for the row: an absolute
    epsilon would mean another thing in each layer (Montavon et al., 2019)."""

    def __init__(self, share: float) -> None:
        super().__init__(SMALLEST)
        self.share = share

    def _create_backward_hook_output(
        self, outputs: torch.Tensor
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        own = list(range(1, outputs.dim()))
        if own and self.share:  # a score, which has no more than its row, is divided by itself
            typical = outputs.square().mean(own, keepdim=True).sqrt()
            self.STABILITY_FACTOR = SMALLEST + self.share * typical
        hook: Callable[[torch.Tensor], torch.Tensor] = super()._create_backward_hook_output(outputs)
        return hook


class HandsOn(PropagationRule):
    """Leaves the backward pass to the module, which hands relevance on by itself."""

    def forward_hook(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        pass

    def forward_hook_weights(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        pass

    def forward_pre_hook_activations(self, module: nn.Module, inputs: Any) -> None:
        pass

    def _manipulate_weights(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        pass


def set_rules(model: nn.Module, epsilon: float) -> None:
    """On each module that has none inside, where Captum looks for them."""
    for child in model.children():
        if isinstance(child, (Ruled, *REARRANGING_MODULES)):
            for inner in child.modules():
                inner.rule = HandsOn()
        elif next(child.children(), None) is None:
            child.rule = ShareOfOutput(epsilon)
        else:
            set_rules(child, epsilon)
