"""Lets the tests of a folder share code, which pytest's importlib mode leaves to the folder."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "models")]
