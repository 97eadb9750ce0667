"""Networks of which it is known by hand how relevance adds up."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class ResidualNet(nn.Module):
    """A sum of two ways, and a rectifier that is used twice: small enough for matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.first(x))
        x = F.relu(self.second(x) + x)
        return self.head(torch.flatten(x, 1))


class UnbiasedNet(nn.Module):
    """A gate, three activations and a norm, all of which hand relevance on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.act = nn.ModuleList([nn.SiLU(), nn.Hardswish(), nn.GELU()])
        self.gate = nn.Conv2d(8, 8, 1)
        self.mix = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(3))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        for act, mix in zip(self.act, self.mix, strict=True):
            x = mix(act(x)) + x
        x = torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True))) * x
        return self.head(self.norm(x.mean((2, 3))))
