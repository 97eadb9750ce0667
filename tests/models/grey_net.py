"""The smallest network that is more than one layer: grey photos in, a few classes out."""

from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))
