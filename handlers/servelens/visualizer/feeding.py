"""How photos become a module's input, where no recipe says so."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from servelens.engine.folder.card import Card, InputSpec, OutputSpec

IN_PROCESS = "in process"
# ImageNet's, in colour, and as one channel: each the mean of its three.
USUAL = {
    3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    1: ((0.449,), (0.226,)),
}
# torchvision scales a photo's shorter side to 256 for an input of 224.
MARGIN = 256 / 224


def card_of(
    module: nn.Module,
    size: int | tuple[int, int],
    resize: int | None,
    crop: bool,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    labels: Sequence[str] | None,
) -> Card:
    height, width = (size, size) if isinstance(size, int) else size
    means, stds = _normalised(module, mean, std)
    spec = InputSpec(
        size=(height, width),
        resize=round(min(height, width) * MARGIN) if resize is None else resize,
        crop="center" if crop else "none",
        channels=len(means),
        mean=means,
        std=stds,
    )
    output = OutputSpec(labels=None if labels is None else tuple(labels))
    return Card(type(module).__name__, version=IN_PROCESS, input=spec, output=output)


def _normalised(
    module: nn.Module, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    convolutions = (part for part in module.modules() if isinstance(part, nn.Conv2d))
    channels = next((part.in_channels for part in convolutions), 3)
    usual = USUAL.get(channels, ((), ()))
    means, stds = (tuple(usual[i] if v is None else v) for i, v in enumerate((mean, std)))
    if len(means) != len(stds) or len(means) not in USUAL:
        raise ValueError(
            f"mean has {len(means)} numbers and std {len(stds)}; give one a channel to both, of "
            f"which the photos have {' or '.join(map(str, sorted(USUAL)))}"
        )
    return means, stds
