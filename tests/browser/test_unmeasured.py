"""An archive of somebody else's, with a lens, of which nobody knows what of a photo it sees."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_fixtures.tiny import pack_tiny
from browser_fixtures.looking import grave
from browser_fixtures.pages import save
from playwright.sync_api import Page, expect

from servelens import codec
from servelens.local import TorchServe

NAME = "mirrored"
WHY = "What of the photo the model saw is not known"
LONG_MS = 120_000


@pytest.fixture(scope="module")
def mirrored(
    root: Path, torchserve: TorchServe, store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Its handler turns photos left to right. It is registered as long as these tests run."""
    parts = tmp_path_factory.mktemp("parts")
    handler = root / "tests" / "models" / "foreign" / "mirror_handler.py"
    theirs = pack_tiny(root, parts, NAME, handler)
    instrument = [sys.executable, "-m", "servelens_archives.instrument"]
    files = [str(theirs), "--out", str(store / f"{NAME}.mar")]
    subprocess.run([*instrument, *files], check=True, capture_output=True)
    torchserve.client.register(f"{NAME}.mar", NAME)
    yield NAME
    torchserve.client.unregister(NAME)
    (store / f"{NAME}.mar").unlink()


def test_its_map_lies_beside_the_photo_and_says_why(
    page: Page, axe: str, mirrored: str, tmp_path: Path
) -> None:
    page.goto(f"/?model={mirrored}&method=layer_gradient_x_activation&method=saliency")
    for panel in (page.locator(".panel").nth(0), page.locator(".panel").nth(1)):
        expect(panel.locator(".sentence")).to_be_visible(timeout=LONG_MS)
        expect(panel).to_contain_text(WHY)
        expect(panel.get_by_role("img", name="the photo")).to_be_visible()
        expect(panel.locator(".layer-above image")).to_have_count(1)
        expect(panel.locator(".layer-subplot image")).to_have_count(0)
        panel.locator(".nsewdrag").first.hover(position={"x": 40, "y": 40})
        expect(panel.locator(".hoverlayer text").first).to_have_text(re.compile(r"at \d+, \d+"))
    told = codec.read_json(save(page, "JSON", tmp_path).read_bytes())
    assert told["answer"]["input"] is None
    assert grave(page, axe) == []


def test_a_channel_of_it_is_looked_at_too(page: Page, mirrored: str) -> None:
    page.goto(f"/explore?model={mirrored}&layer=last&channel=3")
    looked = page.locator("#channel-look")
    expect(looked).to_contain_text(WHY, timeout=LONG_MS)
    expect(looked.locator(".layer-above image").first).to_be_attached()
    expect(page.locator("#journey-words")).to_be_visible()
    looked.locator(".nsewdrag").first.click(position={"x": 40, "y": 40})
    page.wait_for_url("**at=*")
    expect(looked).to_contain_text("The unit at row", timeout=LONG_MS)
