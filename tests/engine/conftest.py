"""A test finds the same world whatever ran before it and however busy the machine is."""

from types import SimpleNamespace

import pytest
import torch

from servelens.engine import plan, sampling
from servelens.engine.further import receptive_field
from servelens.engine.trust import bench

WATCH_BUDGETS = (plan, sampling, receptive_field, bench)


@pytest.fixture(autouse=True)
def seeded_world() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a time limit is watched, unless a test brings a clock of its own."""
    for module in WATCH_BUDGETS:
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: 0.0))
