"""The README's pictures: of every page, said in words too, as wide as a page, and soon loaded."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image
from tests.browser.pictures import SIZE, VIEWS

PICTURE = re.compile(r"!\[([^\]]*)\]\((docs/pictures/[^)]+)\)")
MOST_BYTES = 200_000
WORDS = 8


def test_each_page_is_shown_and_said(root: Path) -> None:
    shown = {
        Path(path).stem: (words, root / path)
        for words, path in PICTURE.findall((root / "README.md").read_text(encoding="utf-8"))
    }
    assert set(shown) == {"story", *VIEWS}
    for words, path in shown.values():
        assert len(words.split()) > WORDS
        assert path.stat().st_size < MOST_BYTES
        with Image.open(path) as picture:
            assert picture.width == SIZE["width"]
