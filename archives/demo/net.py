"""ShapesNet: a small residual CNN for 64x64 photos, in one file that imports nothing but torch.

It is built to be looked into. Every ReLU is a module of its own that runs once a pass, so hooks
meet each of them. The last stage keeps a 16x16 map whose units see 39 pixels at most, each
mostly what is near it, so that a heat map of that stage can tell a corner from the centre.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; a stride halves the map."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.skip = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        return self.relu2(residual + self.skip(x))


class ShapesNet(nn.Module):
    """From photos `[N, 3, 64, 64]` to logits `[N, num_classes]`."""

    def __init__(self, num_classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
                norm=nn.BatchNorm2d(16),
                relu=nn.ReLU(),
            )
        )
        self.stage1 = nn.Sequential(ResidualBlock(16, 16))
        self.stage2 = nn.Sequential(ResidualBlock(16, 32, stride=2))
        self.stage3 = nn.Sequential(ResidualBlock(32, 64))
        self.head = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                classifier=nn.Linear(64, num_classes),
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stage3(self.stage2(self.stage1(self.stem(x)))))
