"""Loads the demo's network and its shipped weights, and says how photos become its input."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from servelens_archives.demo.shapes import Mark

Kind = Literal["shortcut", "clean"]
KINDS: tuple[Kind, ...] = get_args(Kind)

TRAINED_WITH: dict[Kind, Mark] = {"shortcut": "shortcut", "clean": "none"}
"""The two models' only difference: who bore the mark in the photos that they learned from."""

FOLDER = Path(__file__).resolve().parents[2] / "demo"
MEAN = 0.5
STD = 0.25


def new_net() -> nn.Module:
    """A ShapesNet with random weights, from the file that archives are built with."""
    spec = importlib.util.spec_from_file_location("shapes_net", FOLDER / "net.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net: nn.Module = module.ShapesNet()
    return net


def weights_file(kind: Kind, folder: Path = FOLDER) -> Path:
    """Where a model's state dict lies."""
    return folder / f"shapes-{kind}.pt"


def trained_net(kind: Kind, folder: Path = FOLDER) -> nn.Module:
    """A model with its weights, ready to answer."""
    net = new_net()
    net.load_state_dict(torch.load(weights_file(kind, folder), weights_only=True))
    return net.eval()


def as_input(images: NDArray[np.uint8]) -> torch.Tensor:
    """Photos `[N, 64, 64, 3]` as what the network takes, `[N, 3, 64, 64]`."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (pixels - MEAN) / STD
