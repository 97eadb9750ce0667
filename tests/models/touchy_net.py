"""A network whose mood depends on the photo's colour: what real ones do on a bad day, on demand.

All white raises an error that names a path, all blue runs out of memory, all red takes a nap in
every pass, and all green never wakes up again. Any other photo is answered at once, so that one
worker serves all tests of bad days.
"""

import time

import torch
from torch import nn

WHITE, BLUE, RED, GREEN = (1, 1, 1), (0, 0, 1), (1, 0, 0), (0, 1, 0)
FOR_GOOD_S = 3600


class Nap(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, seconds):
        ctx.seconds = seconds
        time.sleep(seconds)
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        time.sleep(ctx.seconds)
        return gradient, None


class TouchyNet(nn.Module):
    """`nap_s` is slept for each red row, going forward and going back. Takes pixels in [0, 1]."""

    def __init__(self, num_classes=3, nap_s=0.6):
        super().__init__()
        self.nap_s = nap_s
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.act = nn.ReLU()
        self.head = nn.Linear(6, num_classes)

    def forward(self, x):
        if bool(all_of(x, WHITE).any()):
            raise ValueError("the white rabbit is late, see /secret/rabbit.pt")
        if bool(all_of(x, BLUE).any()):
            raise MemoryError("nothing is left")
        if bool(all_of(x, GREEN).any()):
            time.sleep(FOR_GOOD_S)
        naps = int(all_of(x, RED).sum())
        x = self.act(self.conv(x))
        if naps:
            x = Nap.apply(x, self.nap_s * naps)
        return self.head(x.mean(dim=(2, 3)))


def all_of(x, colour):
    """For each row, whether all its pixels are of that colour."""
    return (x == x.new_tensor(colour).view(3, 1, 1)).flatten(1).all(dim=1)
