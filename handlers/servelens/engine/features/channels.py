"""Which of a layer's channels to show, and in which order."""

from __future__ import annotations

from typing import Optional, Sequence, Tuple, Union

import torch

from servelens.protocol import problem, shorten


def channel_means(activation: torch.Tensor) -> torch.Tensor:
    values = activation.double()
    return values.flatten(1).mean(dim=1) if values.dim() > 1 else values


def select_channels(
    activation: torch.Tensor,
    gradient: Optional[torch.Tensor],
    wanted: Union[int, str, Sequence[int]],
    sort_by: str,
    seed: int,
) -> Tuple[int, ...]:
    """Of one row's [C, ...] activation: the first so many in order, all, or a list as given."""
    if isinstance(wanted, (tuple, list)):
        return tuple(wanted)
    scores = _scores(activation, gradient, sort_by, seed)
    order = torch.argsort(scores, descending=True, stable=True).tolist()
    return tuple(order[:wanted] if isinstance(wanted, int) else order)


def check_channels(wanted: Union[int, str, Sequence[int]], count: int, where: str) -> None:
    """A number above the layer's is no error, it means all; an index above it is one."""
    if isinstance(wanted, (int, str)):
        return
    for channel in wanted:
        if channel >= count:
            raise problem(
                "bad_value",
                f"there is no channel {shorten(channel)}",
                hint=f"channels of this layer are 0 to {count - 1}",
                where=where,
            )


def _scores(
    activation: torch.Tensor, gradient: Optional[torch.Tensor], sort_by: str, seed: int
) -> torch.Tensor:
    if sort_by == "activation":
        return channel_means(activation)
    if sort_by == "variance":
        flat = activation.double().reshape(activation.shape[0], -1)
        return flat.var(dim=1, unbiased=False)
    if sort_by == "random":
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(activation.shape[0], generator=generator)
    assert gradient is not None, "relevance is read from a backward pass"
    return channel_means(activation * gradient)
