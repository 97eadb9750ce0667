"""Prediction and Grad-CAM over HTTP, against the same work by hand in one process."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from tests.bench.in_process import open_plainly
from tests.bench.paired import compare
from tests.bench.photo import photo
from tests.bench.setting import Setting
from tests.bench.table import Report, Row
from torchvision import transforms

from servelens.local import Model

NAME = "grad_cam_http"
TITLE = "Prediction and Grad-CAM over HTTP (resnet18), against raw torch in one process"


def run(setting: Setting) -> Report:
    by_hand = _by_hand(setting)
    with setting.serving(Model("resnet18.mar", "lens", workers=1)) as (_, server):
        served = server.ask("lens", photo(), explain="grad_cam")["attributions"][0]["map"]
        difference = float(np.abs(served - by_hand()).max() / np.abs(by_hand()).max())
        found = compare(
            lambda: server.ask("lens", photo(), explain="grad_cam"),
            by_hand,
            pairs=setting.pairs(60),
            warm_up=10,
        )
    return Report(
        NAME,
        TITLE,
        [
            Row(
                "largest difference, relative to the map",
                f"{difference:.1e}",
                "≤ 1e-3",
                difference <= 1e-3,
                "the map travels as float16",
            ),
            Row(
                "time",
                f"{found.ours_ms:.1f} ms against {found.theirs_ms:.1f} ms: ratio {found.ratio:.2f}",
                "≤ 1.25",
                found.ratio <= 1.25,
                f"{len(found.ratios)} pairs, middle half {found.spread()}; both decode, scale, run "
                "one forward and one backward down to layer4",
            ),
        ],
    )


def _by_hand(setting: Setting) -> Callable[[], np.ndarray]:
    """What a practitioner writes: torchvision's transforms, a forward hook, autograd to layer4."""
    module = open_plainly(setting, "resnet18")
    scale = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    kept: list[torch.Tensor] = []

    def keep(_: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        kept[:] = [output.detach().requires_grad_(True)]
        return kept[0]

    module.get_submodule("layer4").register_forward_hook(keep)

    def work() -> np.ndarray:
        batch = scale(Image.open(io.BytesIO(photo())))[None].to(setting.device)
        logits = module(batch)[0]
        torch.softmax(logits, 0).topk(5)
        (gradient,) = torch.autograd.grad(logits[logits.argmax()], kept[0])
        cam = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1).relu()
        return cam[0].detach().cpu().numpy()

    return work
