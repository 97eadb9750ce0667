"""Comparisons with other people's libraries, which only `scripts/test peers` installs."""

import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / "unit"), str(TESTS / "models")]
