"""Real archives and real servers for the tests of this folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from servelens.local import Model, TorchServe

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
pytest.register_assert_rewrite("lens_caller")

from lens_fixtures import (  # noqa: E402 - the lines above make it findable
    guest,
    known_pids,
    lens,
    lens_server,
    lens_store,
    settled_lens,
    shadow,
)

__all__ = ["guest", "known_pids", "lens", "lens_server", "lens_store", "settled_lens", "shadow"]


class StartServer(Protocol):
    def __call__(self, store: Path, *models: str | Model, **options: Any) -> TorchServe: ...


@pytest.fixture(scope="session")
def start_server(root: Path) -> Iterator[StartServer]:
    """Start a server of a store's archives, on free ports; it ends with the session.

    Models are ``a.mar``, ``name=a.mar`` or ``Model``; options are those of ``TorchServe``.
    """
    with ExitStack() as running:

        def start(store: Path, *models: str | Model, **options: Any) -> TorchServe:
            parsed = [Model.parse(model) if isinstance(model, str) else model for model in models]
            options = {"config": root / "config.properties", **options}
            return running.enter_context(TorchServe(store, parsed, **options))

        yield start
