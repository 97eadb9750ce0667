"""Numbers that say how a layer answered one image."""

from __future__ import annotations

import torch

from servelens.protocol import Statistics

# A channel counts as active above this mean.
ACTIVE_MEAN = 0.01


def statistics(activation: torch.Tensor) -> Statistics:
    """Of one row's [C, ...] activation. Sparsity is the share of exact zeros, a dead channel is
    zero everywhere; one transfer brings all the numbers from the device. In float32 the square of
    a number that is still finite need not be."""
    values = activation.double()
    channels = values.flatten(1) if values.dim() > 1 else values.unsqueeze(1)
    numbers = torch.stack(
        (
            values.mean(),
            values.std() if values.numel() > 1 else values.new_zeros(()),
            (values == 0).double().mean(),
            values.max(),
            values.min(),
            (channels.mean(dim=1) > ACTIVE_MEAN).sum().double(),
            (channels == 0).all(dim=1).sum().double(),
        )
    )
    mean, std, sparsity, largest, smallest, active, dead = numbers.tolist()
    return Statistics(
        mean=mean,
        std=std,
        sparsity=sparsity,
        max=largest,
        min=smallest,
        active_channels=int(active),
        num_channels=channels.shape[0],
        spatial_size=tuple(values.shape[1:]),
        dead_channels=int(dead),
    )
