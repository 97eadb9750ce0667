"""The weights part of a document. Statistics, norms and bias come whole; of the kernels as many as
fit, and the entry says which ones to ask for next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import List, Optional, Tuple

import torch

from servelens.engine.features.weights import kernel_norms, weight_statistics
from servelens.engine.findings import on_cpu
from servelens.engine.jobs import Job, WeightsAsk
from servelens.engine.paging import Allowance
from servelens.protocol import NextPage, Problem, Weights, WeightsRequest


@dataclass(frozen=True)
class Weighed:
    """One layer's entry without its kernels, and those of them that are wanted."""

    entry: Weights
    kernels: Optional[torch.Tensor] = None
    wanted: Tuple[int, ...] = ()


def weigh(job: Job) -> List[Weighed]:
    """An entry for each layer that was asked for."""
    asked = job.request.weights
    return [] if asked is None else [_weigh(ask, asked) for ask in job.weights]


def with_kernels(weighed: List[Weighed], allowance: Allowance) -> Tuple[Weights, ...]:
    """The entries, filled in the order given; raises response_too_large where not even one kernel
    fits."""
    allowance.take_entries([one.wanted for one in weighed if one.kernels is not None])
    entries = [_filled(one, allowance) for one in weighed]
    paged = [one for one, entry in zip(weighed, entries) if entry.next is not None]
    if paged and not any(entry.channels for entry in entries):
        assert paged[0].kernels is not None
        allowance.refuse_empty_page(paged[0].kernels)
    return tuple(entries)


def _weigh(ask: WeightsAsk, asked: WeightsRequest) -> Weighed:
    layer, learned = str(ask.layer), ask.learned
    if learned is None:
        return Weighed(Weights(layer, problem=ask.problem))
    if not learned.is_finite:
        reason = f"the weights of {layer} are not all finite numbers"
        return Weighed(Weights(layer, problem=Problem("unsupported", reason, where="weights")))
    kernels, bias = learned.kernels, learned.bias
    entry = Weights(
        layer=layer,
        shape=tuple(kernels.shape),
        statistics=weight_statistics(kernels),
        kernel_norms=on_cpu(kernel_norms(kernels)),
        bias=None if bias is None else on_cpu(bias),
    )
    if not asked.kernels:
        return Weighed(entry)
    return Weighed(entry, kernels, _wanted(asked, len(kernels)))


def _wanted(asked: WeightsRequest, outputs: int) -> Tuple[int, ...]:
    if isinstance(asked.channels, tuple):
        return asked.channels
    return tuple(range(outputs if asked.channels == "all" else min(int(asked.channels), outputs)))


def _filled(one: Weighed, allowance: Allowance) -> Weights:
    if one.kernels is None:
        return one.entry
    fitting = allowance.take_channels(one.kernels, one.wanted, maps=True)
    left = one.wanted[len(fitting) :]
    return replace(
        one.entry,
        channels=fitting,
        kernels=on_cpu(one.kernels[list(fitting)]),
        next=NextPage(left) if left else None,
    )
