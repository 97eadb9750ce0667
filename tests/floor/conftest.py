"""Finds the oldest stack, and what the tests of real servers ask them with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / "floor"), str(TESTS / "server"), str(TESTS / "models")]
pytest.register_assert_rewrite("lens_caller")


@pytest.fixture(scope="session")
def floor(root: Path) -> Path:
    """The Python of the oldest stack that archives run on."""
    python = root / ".venv-floor" / "bin" / "python"
    assert python.exists(), "scripts/setup floor makes it, and scripts/test floor calls that"
    return python
