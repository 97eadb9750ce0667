"""docs/visualizer.md, run from its first line to its last."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def test_all_that_the_page_shows_is_so(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (root / "docs" / "visualizer.md").read_text(encoding="utf-8")
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    (tmp_path / "archives").symlink_to(root / "archives")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(block, "docs/visualizer.md", "exec"), names)
        shown = "\n".join(re.findall(r"^(?:print\(.*\)  )?# (.*)$", block, re.MULTILINE))
        assert_alike(said.getvalue(), shown)
    saved = set(re.findall(r'save_path="(.*?)"', page))
    assert len(saved) > 6
    assert {path.name for path in tmp_path.glob("*.png")} == saved


def assert_alike(got: str, shown: str) -> None:
    """The same words, and numbers as near as another machine's arithmetic leaves them."""
    words, theirs = (NUMBER.sub("#", " ".join(text.split())) for text in (got, shown))
    assert words == theirs
    numbers = [[float(n) for n in NUMBER.findall(text)] for text in (got, shown)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=0.002)
