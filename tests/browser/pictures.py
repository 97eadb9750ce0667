"""Takes the pictures of the README, of the demo as it is.

scripts/demo                                          # says where its dashboard is
python -m tests.browser.pictures http://127.0.0.1:… docs/pictures
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect, sync_playwright

PATIENCE_MS = 120_000
SIZE = {"width": 1280, "height": 860}
VIEWS = {
    "explain": "/explain?model=shapes-shortcut",
    "explore": "/explore?model=shapes-clean&layer=stage3&scale=shared",
    "compare": "/compare?method=grad_cam",
    "models": "/models",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the README's pictures of the dashboard.")
    parser.add_argument("dashboard", help="its address")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(base_url=arguments.dashboard, viewport=SIZE)
        for name, address in VIEWS.items():
            page.goto(address, timeout=PATIENCE_MS)
            page.wait_for_load_state("load")
            page.wait_for_timeout(8000)
            waiting = page.locator("[data-dash-is-loading=true]")
            expect(waiting).to_have_count(0, timeout=PATIENCE_MS)
            _keep(page.screenshot(), arguments.folder / f"{name}.png")
        browser.close()


def _keep(shot: bytes, path: Path) -> None:
    """In 256 colours, so chosen that the farthest from its own is near: a quarter of the bytes."""
    with Image.open(io.BytesIO(shot)) as picture:
        few = picture.convert("RGB").quantize(
            256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE
        )
        few.save(path, optimize=True)


if __name__ == "__main__":
    main()
