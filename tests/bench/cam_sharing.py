"""Grad-CAM at every convolution of resnet18 for three classes: shared passes against a loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from tests.bench.in_process import ask, input_of, open_engine
from tests.bench.paired import compare
from tests.bench.setting import Setting
from tests.bench.table import Report, Row
from torch import nn

from servelens.engine.layers import LayerRef

NAME = "cam_sharing"
TITLE = "Grad-CAM, 20 layers of resnet18 × 3 classes, against Captum's LayerGradCam in a loop"
CLASSES = 3


def run(setting: Setting) -> Report:
    session = open_engine(setting, "resnet18")
    module = session.model.module
    layers = [name for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d)]
    keys = {"explain": {"method": "grad_cam", "layers": layers}, "target": f"top:{CLASSES}"}
    targets = [p.index for p in ask(session, **keys).predictions[:CLASSES]]
    captum_loop = _captum_loop(module, layers, targets, input_of(session))
    comparison = compare(
        lambda: ask(session, **keys), captum_loop, pairs=setting.pairs(5), warm_up=1
    )
    # Where the weights are random, folding norms changes no layer, and the twin is run.
    runs = session.model.explaining([LayerRef(name) for name in layers])
    with _count_passes(runs) as passes:
        cost = ask(session, **keys).cost
    times = 1 / comparison.ratio
    return Report(
        NAME,
        TITLE,
        [
            Row(
                "passes",
                f"{passes['forwards']} forward, {passes['backwards']} backward",
                f"1 and {CLASSES}",
                passes == {"forwards": 1, "backwards": CLASSES}
                and (cost.forwards, cost.backwards) == (1, CLASSES),
                f"{len(layers)} layers, counted at the model; the document says the same",
            ),
            Row(
                "time",
                f"{comparison.ours_ms:.0f} against {comparison.theirs_ms:.0f} ms: {times:.1f}×",
                "≥ 15×",
                times >= 15,
                f"ratio {comparison.ratio:.3f} ({comparison.spread()}); ours decodes the photo too",
            ),
        ],
    )


def _captum_loop(
    module: nn.Module, layers: list[str], targets: list[int], batch: torch.Tensor
) -> Callable[[], None]:
    from captum.attr import LayerGradCam

    found = [module.get_submodule(name) for name in layers]

    def loop() -> None:
        for layer in found:
            for target in targets:
                LayerGradCam(module, layer).attribute(batch, target=target, relu_attributions=True)

    return loop


@contextmanager
def _count_passes(module: nn.Module) -> Iterator[dict[str, int]]:
    """Images through the whole model, and gradients that come back out of its last layer."""
    counts = {"forwards": 0, "backwards": 0}

    def on_forward(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        counts["forwards"] += len(inputs[0])
        if output.requires_grad:
            output.register_hook(on_backward)

    def on_backward(gradient: torch.Tensor) -> None:
        counts["backwards"] += len(gradient)

    handle = module.register_forward_hook(on_forward)
    try:
        yield counts
    finally:
        handle.remove()
