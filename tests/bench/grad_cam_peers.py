"""Prediction and Grad-CAM over HTTP, against the libraries that people take for it in process.

Each is used as its own documentation shows: made once for a model whose weights are as they were
loaded, given what torchvision's transforms make of the photo, asked for the predicted class.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from tests.bench.in_process import open_plainly
from tests.bench.paired import compare
from tests.bench.photo import photo
from tests.bench.setting import Missing, Setting
from tests.bench.table import Report, Row
from torchvision.models import ResNet18_Weights

from servelens.client import Server
from servelens.local import Model

NAME = "grad_cam_peers"
TITLE = (
    "Prediction and Grad-CAM over HTTP (resnet18), against torchcam and pytorch-grad-cam in process"
)
LAYER = "layer4"
# Of the map's range: ours travels as float16, theirs are scaled up and to [0, 1].
ALIKE = 5e-3

Work = Callable[[], np.ndarray]


def run(setting: Setting) -> Report:
    peers = {
        "torchcam": (_of_torchcam, _import("torchcam.methods"), 1.15),
        "pytorch-grad-cam": (_of_grad_cam, _import("pytorch_grad_cam"), 1.0),
    }
    rows = []
    setting.build("resnet18")
    with setting.serving(Model("resnet18.mar", "lens", workers=1)) as (_, server):
        for name, (open_peer, library, most) in peers.items():
            with open_peer(library, setting) as work:
                rows += _rows(name, server, work, most, setting)
    return Report(NAME, TITLE, rows)


def _rows(name: str, server: Server, work: Work, most: float, setting: Setting) -> list[Row]:
    def ours() -> np.ndarray:
        answer = server.ask("lens", photo(), explain="grad_cam")
        found: np.ndarray = answer["attributions"][0]["map"]
        return found

    difference = _difference(ours(), work())
    found = compare(ours, work, pairs=setting.pairs(60), warm_up=10)
    return [
        Row(
            f"{name}: largest difference, relative to the map",
            f"{difference:.1e}",
            f"≤ {ALIKE:g}",
            difference <= ALIKE,
            "ours scaled as theirs is",
        ),
        Row(
            f"{name}: time",
            f"{found.ours_ms:.1f} ms against {found.theirs_ms:.1f} ms: ratio {found.ratio:.2f}",
            f"≤ {most:.2f}",
            found.ratio <= most,
            f"{len(found.ratios)} pairs, middle half {found.spread()}; both decode, scale, predict "
            f"and explain, {torch.get_num_threads()} threads in process",
        ),
    ]


@contextmanager
def _of_torchcam(library: ModuleType, setting: Setting) -> Iterator[Work]:
    """Its map is of the layer's size, scaled to [0, 1]."""
    module = open_plainly(setting, "resnet18").requires_grad_(True)
    prepare = ResNet18_Weights.DEFAULT.transforms()
    with library.GradCAM(module, LAYER) as cam:

        def work() -> np.ndarray:
            out = module(prepare(_decoded()).unsqueeze(0).to(setting.device))
            torch.softmax(out[0], 0).topk(5)
            (found,) = cam(out.squeeze(0).argmax().item(), out)
            return found[0].cpu().numpy()

        yield work


@contextmanager
def _of_grad_cam(library: ModuleType, setting: Setting) -> Iterator[Work]:
    """Its map is scaled to [0, 1] and up to the input's size; without targets it explains the
    predicted class."""
    module = open_plainly(setting, "resnet18").requires_grad_(True)
    prepare = ResNet18_Weights.DEFAULT.transforms()
    with library.GradCAM(model=module, target_layers=[module.get_submodule(LAYER)[-1]]) as cam:

        def work() -> np.ndarray:
            batch = prepare(_decoded()).unsqueeze(0).to(setting.device)
            found: np.ndarray = cam(input_tensor=batch, targets=None)[0, :]
            torch.softmax(cam.outputs[0], 0).topk(5)
            return found

        yield work


def _decoded() -> Image.Image:
    return Image.open(io.BytesIO(photo())).convert("RGB")


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """At the finer one's places, as pytorch-grad-cam scales its own up."""
    ours = (ours - ours.min()) / (ours.max() - ours.min())
    if theirs.shape != ours.shape:
        size = theirs.shape[::-1]
        ours = np.asarray(importlib.import_module("cv2").resize(ours.astype(np.float32), size))
    return float(np.abs(ours - theirs).max())


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Missing(
            f"it compares with {name.partition('.')[0]}, which is not installed; "
            "run scripts/setup peers, which installs it"
        ) from error
