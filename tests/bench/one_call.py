"""All that a page about one photo shows, in one call: shared passes against Captum one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from tests.bench.in_process import ask, input_of, open_engine, open_plainly
from tests.bench.paired import compare
from tests.bench.setting import Setting
from tests.bench.table import Report, Row

NAME = "one_call"
TITLE = "Prediction, 4 activations, Grad-CAM × 3 classes, saliency, input × gradient (resnet18)"
STAGES = ("layer1", "layer2", "layer3", "layer4")
CLASSES = 3
KEYS = {
    "activations": {"layers": list(STAGES), "channels": "all"},
    "explain": [
        {"method": "grad_cam", "layer": "layer4", "target": f"top:{CLASSES}"},
        "saliency",
        "input_x_gradient",
    ],
}


def run(setting: Setting) -> Report:
    session = open_engine(setting, "resnet18")
    one_by_one = _by_captum(setting, input_of(session))
    answer = ask(session, **KEYS)
    expected = one_by_one()
    found = [attribution.map for attribution in answer.attributions]
    worst = max(_difference(a, b) for a, b in zip(found, expected, strict=True))
    times = compare(lambda: ask(session, **KEYS), one_by_one, pairs=setting.pairs(20))
    cost = answer.cost
    return Report(
        NAME,
        TITLE,
        [
            Row("largest difference, relative to the map", f"{worst:.1e}", "≤ 1e-4", worst <= 1e-4),
            Row(
                "passes",
                f"{cost.forwards} forward, {cost.backwards} backward",
                f"1 and {CLASSES}",
                (cost.forwards, cost.backwards) == (1, CLASSES),
                "Captum: 9 forward, 5 backward",
            ),
            Row(
                "time",
                f"{times.ours_ms:.0f} ms against {times.theirs_ms:.0f} ms: {times.ratio:.2f}",
                "≤ 0.5",
                times.ratio <= 0.5,
                f"{len(times.ratios)} pairs, middle half {times.spread()}; ours decodes the photo "
                "and takes the activations' statistics too",
            ),
        ],
    )


def _by_captum(setting: Setting, batch: torch.Tensor) -> Callable[[], list[np.ndarray]]:
    from captum.attr import InputXGradient, LayerActivation, LayerGradCam, Saliency

    module = open_plainly(setting, "resnet18")

    def one_by_one() -> list[np.ndarray]:
        with torch.no_grad():
            classes = module(batch)[0].topk(CLASSES).indices.tolist()
        for stage in STAGES:
            LayerActivation(module, module.get_submodule(stage)).attribute(batch)
        leaf = batch.clone().requires_grad_(True)
        cams = [
            LayerGradCam(module, module.layer4).attribute(
                batch, target=target, relu_attributions=True
            )
            for target in classes
        ]
        saliency = Saliency(module).attribute(leaf, target=classes[0])
        product = InputXGradient(module).attribute(leaf, target=classes[0])
        found = [*(cam[0, 0] for cam in cams), saliency[0].sum(0), product[0].sum(0)]
        return [tensor.detach().cpu().numpy() for tensor in found]

    return one_by_one


def _difference(ours: np.ndarray | None, theirs: np.ndarray) -> float:
    assert ours is not None
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())
