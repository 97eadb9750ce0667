"""A recipe of `grey_net`, in a folder with it, for tests of what becomes of a recipe."""

from __future__ import annotations

from pathlib import Path

CODE = Path(__file__).with_name("grey_net.py").read_text(encoding="utf-8")
LABELS = ("ant", "bee", "cow")
SIZE = (12, 10)
RECIPE = f"""
name = "tiny"
title = "Tiny"
[model]
file = "net.py"
class = "Net"
weights = "WEIGHTS"
[input]
size = {list(SIZE)}
resize = 14
channels = 1
mean = [0.5]
std = [0.5]
[output]
labels = {list(LABELS)}
[serve]
batch_size = 4
max_batch_delay_ms = 7
response_timeout_s = 99
response_bytes = 50_000
"""


def make_recipe(folder: Path, code: str = CODE, weights: str = "none") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.py").write_text(code, encoding="utf-8")
    (folder / "tiny.toml").write_text(RECIPE.replace("WEIGHTS", weights), encoding="utf-8")
    return folder / "tiny.toml"
