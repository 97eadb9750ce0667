"""A small network with what makes real ones hard to look into: batch norms, a skip connection,
an in-place rectifier that is called twice, and a functional one."""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + x)


class TinyNet(nn.Module):
    def __init__(self, num_classes=6, channels=3, softmax=False):
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 3, stride=2, padding=1)
        self.block = Block(8)
        self.last = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.head = nn.Linear(12, num_classes)
        self.softmax = softmax

    def forward(self, x):
        x = self.block(self.stem(x))
        x = functional.relu(self.last(x))
        logits = self.head(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))
        return functional.softmax(logits, dim=1) if self.softmax else logits
