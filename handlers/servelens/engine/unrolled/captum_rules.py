"""LRP's rules as Captum wants them. The only module that imports Captum when it is imported, so
that it is imported where LRP runs and nowhere else."""

from __future__ import annotations

from typing import Any

from captum.attr._utils.lrp_rules import EpsilonRule, PropagationRule
from torch import nn

from servelens.engine.unrolled.calls import Ruled
from servelens.engine.unrolled.conserving import REARRANGING_MODULES


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
            child.rule = EpsilonRule(epsilon)
        else:
            set_rules(child, epsilon)
