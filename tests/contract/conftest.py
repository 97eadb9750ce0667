"""A real TorchServe worker's Python half, with a model folder of its own, for each test module."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from tiny_net import TinyNet  # noqa: E402
from worker_fixtures.front_end import FrontEnd, load  # noqa: E402 - the line above makes it findable

from servelens.engine.folder.card import Card, InputSpec, ModelSource, OutputSpec  # noqa: E402
from servelens.engine.folder.loading import write_weights  # noqa: E402

LABELS = ("disc", "square", "star", "cross", "ring", "moon")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an archive is when TorchServe has unpacked it, but for the code."""
    folder = tmp_path_factory.mktemp("tiny")
    shutil.copy(HERE.parent / "models" / "tiny_net.py", folder)
    card = Card(
        "tiny",
        model=ModelSource(file="tiny_net.py", class_name="TinyNet", num_classes=len(LABELS)),
        input=InputSpec(size=(32, 32), resize=36),
        output=OutputSpec(labels=LABELS),
    )
    card.save(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        write_weights(folder / "weights.npz", TinyNet(len(LABELS)).state_dict())
    return folder


@pytest.fixture(scope="module")
def front_end(model_folder: Path) -> FrontEnd:
    return FrontEnd(load(model_folder))
