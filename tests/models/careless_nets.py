"""One network written twice: as people write, and as methods that walk through modules need it."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class CarelessNet(nn.Module):
    """One rectifier in place for all calls, functions, a plus, a convolution that is used twice."""

    def __init__(self, num_classes=4, bias=True):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1, bias=bias)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1, bias=bias)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, num_classes, bias=bias)

    def forward(self, x):
        x = self.relu(self.norm(self.first(x)))
        for _ in range(2):
            y = self.second(x)
            y += x
            x = self.relu(y)
        x = F.max_pool2d(self.drop(x), 2)
        x = F.relu(self.second(x), inplace=True) * 0.5
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class CarefulNet(nn.Module):
    """The same, a module for each call, from the weights of a careless one."""

    def __init__(self, net):
        super().__init__()
        self.first, self.norm, self.head = net.first, net.norm, net.head
        self.second = nn.ModuleList(self._like(net.second) for _ in range(3))
        self.relu = nn.ModuleList(nn.ReLU() for _ in range(4))
        self.pool = nn.MaxPool2d(2)
        self.mean = nn.AdaptiveAvgPool2d(1)

    def _like(self, convolution):
        twin = nn.Conv2d(6, 6, 3, padding=1, bias=convolution.bias is not None)
        twin.load_state_dict(convolution.state_dict())
        return twin.to(convolution.weight.dtype)

    def forward(self, x):
        x = self.relu[0](self.norm(self.first(x)))
        x = self.relu[1](self.second[0](x) + x)
        x = self.relu[2](self.second[1](x) + x)
        # Captum's hook on what a pool reads runs too late for a rectifier that gave it.
        x = self.relu[3](self.second[2](self.pool(x.clone()))) * 0.5
        return self.head(torch.flatten(self.mean(x), 1))
