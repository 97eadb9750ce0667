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
from playwright.sync_api import Page, expect, sync_playwright

from servelens_dashboard.story import STEPS

PATIENCE_MS = 120_000
SIZE = {"width": 1280, "height": 860}
VIEWS = {
    "explain": "/explain?model=shapes-shortcut&method=grad_cam&method=occlusion",
    "explore": "/explore?model=shapes-clean&layer=stage3&scale=shared",
    "compare": "/compare?method=grad_cam",
    "models": "/models?file=resnet18",
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
        for name, address in {"story": _last_step(page), **VIEWS}.items():
            page.goto(address, timeout=PATIENCE_MS)
            _settle(page)
            _keep(page.screenshot(), arguments.folder / f"{name}.png")
        browser.close()


def _last_step(page: Page) -> str:
    """The address where the story ends; on the way its offer is declined, for it is told then."""
    page.goto("/", timeout=PATIENCE_MS)
    page.get_by_role("link", name="See it caught").click(timeout=PATIENCE_MS)
    on = page.get_by_role("link", name="Next")
    for step in range(2, len(STEPS) + 1):
        on.click(timeout=PATIENCE_MS)
        expect(page.locator("#story")).to_contain_text(f"{step} of", timeout=PATIENCE_MS)
    address = page.url
    page.goto("/", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Not now").click(timeout=PATIENCE_MS)
    return address


def _settle(page: Page) -> None:
    """Until no part of the page is waited for, twice, for some ask others."""
    waiting = page.locator("[data-dash-is-loading=true]")
    for _ in range(2):
        page.wait_for_timeout(4000)
        expect(waiting).to_have_count(0, timeout=PATIENCE_MS)


def _keep(shot: bytes, path: Path) -> None:
    """In 256 colours, so chosen that the farthest from its own is near, and what is between them
    dithered: less than half of the bytes."""
    with Image.open(io.BytesIO(shot)) as picture:
        whole = picture.convert("RGB")
        few = whole.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3)
        whole.quantize(palette=few, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


if __name__ == "__main__":
    main()
