"""Small networks, each odd in one way that an engine could trip over."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class LinearNet(nn.Module):
    """Linear from pixels to logits, so that every gradient has a closed form."""

    def __init__(self, channels=4, num_classes=3):
        super().__init__()
        self.mix = nn.Conv2d(3, channels, 1, bias=False)
        self.head = nn.Linear(channels, num_classes, bias=False)

    def forward(self, x):
        return self.head(self.mix(x).mean(dim=(2, 3)))


class PooledNet(nn.Module):
    """A convolution, a rectifier, a pool; what comes behind the logits is up to the subclass."""

    def __init__(self, num_classes=4, channels=3):
        super().__init__()
        self.conv = nn.Conv2d(channels, 6, 3, stride=2, padding=1)
        self.act = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.head = nn.Linear(6, num_classes)

    def features(self, x):
        return self.act(self.conv(x))

    def logits(self, x):
        return self.head(self.flat(self.pool(self.features(x))))

    def forward(self, x):
        return self.logits(x)


class SoftmaxModuleNet(PooledNet):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.squash = nn.Softmax(dim=1)

    def forward(self, x):
        return self.squash(self.logits(x))


class SoftmaxFunctionNet(PooledNet):
    def forward(self, x):
        return F.softmax(self.logits(x), dim=-1)


class LogSoftmaxNet(PooledNet):
    def forward(self, x):
        return self.logits(x).log_softmax(1)


class SigmoidModuleNet(PooledNet):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.squash = nn.Sigmoid()

    def forward(self, x):
        return self.squash(self.logits(x))


class SigmoidInPlaceNet(PooledNet):
    def forward(self, x):
        return self.logits(x).sigmoid_()


class GatedNet(PooledNet):
    """Has a softmax and a sigmoid inside, which are not its head's."""

    def forward(self, x):
        features = self.features(x)
        gate = torch.sigmoid(features.mean(dim=(2, 3), keepdim=True))
        gate = gate * torch.softmax(features.amax(dim=(2, 3), keepdim=True), dim=1)
        return self.head(self.flat(self.pool(features * gate)))


class InPlaceNet(nn.Module):
    """Everything in place: the input itself, what layers gave, and a rectifier called thrice."""

    def __init__(self, num_classes=5):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(6, num_classes)

    def forward(self, x):
        x.mul_(2.0)
        first = self.relu(self.first(x).sub_(0.1))
        second = self.norm(self.second(first))
        second.add_(first)
        second = self.relu(second) * 1.5
        return self.head(self.relu(second - 0.2).mean(dim=(2, 3)))


class OutOfPlaceNet(InPlaceNet):
    """The same with nothing in place, and with what each layer gave laid aside."""

    def __init__(self, num_classes=5):
        super().__init__(num_classes)
        self.relu = nn.ReLU()

    def forward(self, x):
        seen = self.seen = {}
        x = x * 2.0
        seen["first"] = self.first(x)
        seen["relu#0"] = first = self.relu(seen["first"] - 0.1)
        seen["second"] = self.second(first)
        seen["norm"] = self.norm(seen["second"])
        seen["relu#1"] = self.relu(seen["norm"] + first)
        second = seen["relu#1"] * 1.5
        seen["relu"] = self.relu(second - 0.2)
        return self.head(seen["relu"].mean(dim=(2, 3)))


class AliasNet(nn.Module):
    """Relies on two names of one tensor: what passes the identity is changed in place later."""

    def __init__(self, num_classes=4):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.skip = nn.Identity()
        self.drop = nn.Dropout(0.5)
        self.flat = nn.Flatten(2)
        self.head = nn.Linear(6, num_classes)

    def forward(self, x):
        x = self.conv(x)
        skipped = self.drop(self.skip(x))
        rows = self.flat(x)
        x.relu_()
        return self.head((x + 2 * skipped).mean(dim=(2, 3)) + rows.mean(dim=2))


class TellingNet(PooledNet):
    """Gives from its modules what is no feature map: tuples, integers, numbers, one a row."""

    class Pair(nn.Module):
        def forward(self, x):
            return x, x.mean(dim=(2, 3))

    class Argmax(nn.Module):
        def forward(self, x):
            return x.argmax(dim=1, keepdim=True)

    class RowMean(nn.Module):
        def forward(self, x):
            return x.mean(dim=(1, 2, 3))

    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.value = nn.Parameter(torch.tensor(0.5))

        def forward(self):
            return self.value * 2

    class Windows(nn.Module):
        """Four windows of each row, side by side in the batch, as attention in windows does."""

        def forward(self, x):
            n, c, h, w = x.shape
            x = x.reshape(n, c, 2, h // 2, 2, w // 2).permute(0, 2, 4, 1, 3, 5)
            return x.reshape(n * 4, c, h // 2, w // 2)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.pair, self.argmax, self.row_mean = self.Pair(), self.Argmax(), self.RowMean()
        self.scale, self.windows = self.Scale(), self.Windows()

    def forward(self, x):
        features, means = self.pair(self.features(x))
        index = self.argmax(features)
        factor = 1 + self.row_mean(features)[:, None] + index.float().mean(dim=(1, 2, 3))[:, None]
        windows = self.windows(features).mean(dim=(2, 3))
        windows = windows.reshape(len(x), 4, -1).sum(dim=1)
        return self.head((means + windows) * factor * self.scale())


class CutNet(PooledNet):
    """Its features are computed without a graph, as in a frozen backbone."""

    def features(self, x):
        with torch.no_grad():
            return super().features(x)


class StochasticNet(PooledNet):
    """Forgot that a functional dropout is active unless it is told otherwise."""

    def features(self, x):
        return F.dropout(super().features(x), 0.5)


class BatchStatisticsNet(PooledNet):
    """A norm without running statistics: in this model rows do influence each other."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = nn.BatchNorm2d(6, track_running_stats=False)

    def features(self, x):
        return self.act(self.norm(self.conv(x)))


class MoodyNet(PooledNet):
    """Fails on demand: on rows that are almost white, and on batches above a number of rows."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.most_rows = 10**9
        self.fails_on_white = False

    def forward(self, x):
        if len(x) > self.most_rows:
            raise torch.cuda.OutOfMemoryError(f"no memory for {len(x)} rows")
        if self.fails_on_white and bool((x.flatten(1).mean(dim=1) > 0.95).any()):
            raise ValueError("a white image at /secret/path")
        return self.logits(x)


class OverflowNet(PooledNet):
    """Numbers that are not finite, where a photo is almost white: in a layer, or in one logit."""

    def __init__(self, where="layer", **kwargs):
        super().__init__(**kwargs)
        self.where = where
        self.mask = nn.Identity()

    def forward(self, x):
        white = x.flatten(1).mean(dim=1) > 0.95
        features = self.features(x)
        if self.where == "layer":
            large = torch.where(white[:, None, None, None], torch.inf, 1.0) * (features + 0.1)
            self.mask(large)
        logits = self.head(self.flat(self.pool(features)))
        if self.where == "logit":
            last = torch.where(white, torch.nan, logits[:, -1])
            logits = torch.cat((logits[:, :-1], last[:, None]), dim=1)
        if self.where == "gradient":
            zero = torch.where(white, 0.0, 1.0)[:, None]
            logits = logits + (logits * 0 + zero).sqrt()
        return logits


class NormedNet(nn.Module):
    """Convolutions with a batch norm behind them; how they are called is up to the subclass."""

    def __init__(self, num_classes=4):
        super().__init__()
        self.stage = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.inner = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1))
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, num_classes)

    def features(self, x):
        return self.norm(self.inner(self.stage(x)))

    def forward(self, x):
        return self.head(F.relu_(self.features(x)).mean(dim=(2, 3)))


class RepeatingNet(NormedNet):
    """One convolution, called twice and normed once."""

    def features(self, x):
        return self.norm(self.inner(self.inner(self.stage(x))))


class ForkedNet(NormedNet):
    """What the convolution gives goes past the norm, too."""

    def features(self, x):
        x = self.inner(self.stage(x))
        return x + self.norm(x)


class PeekingNet(NormedNet):
    """Reads the norm's own weights, which folding takes away."""

    def features(self, x):
        return super().features(x) * self.norm.weight.mean()


class RenamedNet(NormedNet):
    """Calls its norm by its second name."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.again = self.norm

    def features(self, x):
        return self.again(self.inner(self.stage(x)))


class BranchingNet(NormedNet):
    """Decides by its input, so that it cannot be traced."""

    def features(self, x):
        return super().features(x if x.mean() > -100 else -x)
