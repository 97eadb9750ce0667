"""What is saved: it opens by itself, has the server's own numbers, and looks as the page did."""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_fixtures.pages import HEAT, LONG_WORK_MS, save
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from servelens import codec
from servelens.client import Attribution
from servelens.local import TorchServe

SAMPLE = "disc-marked.png"
MANY_MASKS = 3000


@pytest.fixture
def photo(root: Path) -> bytes:
    return (root / "archives" / "demo" / "samples" / SAMPLE).read_bytes()


def colours(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.int16)


def test_a_report_opens_from_a_file_with_no_network(
    page: Page, chromium: Browser, tmp_path: Path, photo: bytes
) -> None:
    page.goto("/?method=grad_cam&class=2")
    path = save(page, "HTML report", tmp_path)
    assert path.suffix == ".html"
    elsewhere = chromium.new_context(offline=True)
    reader = elsewhere.new_page()
    said: list[str] = []
    asked: list[str] = []
    reader.on("console", lambda line: said.append(line.text))
    reader.on("pageerror", lambda error: said.append(str(error)))
    reader.on("request", lambda request: asked.append(request.url.partition(":")[0]))
    reader.goto(path.as_uri())
    text = reader.locator("body").inner_text()
    for told in (
        "grad_cam at stage3 for square",
        "what the model saw",
        "shapes-clean 1.0",
        f"sha256:{hashlib.sha256(photo).hexdigest()}",
        '"target": 2',
    ):
        assert told in text
    expect(reader.locator("tr", has_text="triangle")).to_have_count(1)
    widths = reader.evaluate("[...document.images].map((image) => image.naturalWidth)")
    assert len(widths) == 2 and min(widths) > 0
    assert reader.locator("script").count() == 0
    assert not said and set(asked) <= {"file", "data"}
    elsewhere.close()


def test_an_npz_and_a_json_have_the_servers_own_numbers(
    page: Page, torchserve: TorchServe, tmp_path: Path, photo: bytes
) -> None:
    page.goto("/?method=grad_cam")
    expected = torchserve.client.explain("shapes-clean", photo, [{"method": "grad_cam"}], top_k=5)
    numbers = expected.attributions[0].to_numpy()
    with np.load(save(page, "npz", tmp_path), allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["answer/attributions/0/map"], numbers)
    told = codec.read_json(save(page, "JSON", tmp_path).read_bytes())
    np.testing.assert_array_equal(told["answer"]["attributions"][0]["map"], numbers)
    assert told["asked"]["explain"] == [{"method": "grad_cam"}]
    assert told["model"]["digest"] == expected.model.digest
    named = [(p["label"], p["logit"]) for p in told["answer"]["predictions"]]
    assert named == [(p.label, p.logit) for p in expected.predictions]


def test_what_came_in_parts_is_saved_as_a_whole(
    page: Page, torchserve: TorchServe, tmp_path: Path, photo: bytes
) -> None:
    """Of so many masks that no machine has them in the second and a half in which a page takes the
    whole at once, rounded for the way."""
    page.goto(f"/?method=rise~samples={MANY_MASKS}")
    saved = saved_at_last(page, tmp_path)
    (entry,) = saved["answer"]["attributions"]
    whole = explained_whole(torchserve, photo, {"method": "rise", "samples": MANY_MASKS})
    numbers = whole.to_numpy()
    np.testing.assert_allclose(entry["map"], numbers, atol=2e-5 * np.abs(numbers).max())
    assert "part" not in saved["asked"]


def test_what_a_saved_map_misses_is_what_the_whole_misses(
    page: Page, torchserve: TorchServe, tmp_path: Path, photo: bytes
) -> None:
    """By a rule that misses much; only a quick machine has it at once."""
    page.goto("/?method=integrated_gradients~quadrature=riemann_right~steps=1000")
    (entry,) = saved_at_last(page, tmp_path)["answer"]["attributions"]
    method = {"method": "integrated_gradients", "quadrature": "riemann_right", "steps": 1000}
    misses = explained_whole(torchserve, photo, method).convergence_delta
    assert entry["convergence_delta"] == pytest.approx(misses, abs=1e-3)


def saved_at_last(page: Page, folder: Path) -> dict[str, Any]:
    expect(page.locator(".body .saving")).to_be_visible(timeout=LONG_WORK_MS)
    saved: dict[str, Any] = codec.read_npz(save(page, "npz", folder).read_bytes())
    return saved


def explained_whole(torchserve: TorchServe, photo: bytes, method: dict[str, Any]) -> Attribution:
    (whole,) = torchserve.client.explain(
        "shapes-clean", photo, [method], dtype="float32"
    ).attributions
    return whole


def test_a_files_trust_card_is_the_one_that_was_asked_for(
    page: Page, chromium: Browser, tmp_path: Path
) -> None:
    """Of a method whose card is asked for by a click, before and after it."""
    page.goto("/?method=integrated_gradients")
    without = codec.read_npz(save(page, "npz", tmp_path).read_bytes())
    assert without["answer"]["attributions"][0]["trust"] is None
    page.get_by_role("button", name="Check this map").click()
    judged = page.locator(".judgement").inner_text()
    for name, read in (("npz", codec.read_npz), ("JSON", codec.read_json)):
        told = read(save(page, name, tmp_path).read_bytes())
        (entry,) = told["answer"]["attributions"]
        assert told["asked"]["trust"] is True
        assert len(entry["trust"]["curves"]["deletion"]) == 17
        assert entry["trust"]["deletion_auc"] > 0
        assert entry["map"].shape == (64, 64)
    elsewhere = chromium.new_context(offline=True)
    reader = elsewhere.new_page()
    reader.goto(save(page, "HTML report", tmp_path).as_uri())
    heading = reader.get_by_role("heading", name="Is it to be believed?")
    expect(heading).to_contain_text("integrated_gradients for disc")
    expect(reader.get_by_text(judged, exact=True)).to_be_visible()
    expect(reader.get_by_role("img", name="The probability while")).to_be_visible()
    assert reader.locator("polyline").count() == 4
    elsewhere.close()


def test_a_picture_is_as_the_page_looks(page: Page, tmp_path: Path) -> None:
    page.goto("/?method=grad_cam#opacity=0")
    expect(page.locator(".body .saving")).to_be_visible()
    without = colours(save(page, "PNG", tmp_path))
    page.goto("/?method=grad_cam#opacity=1&colours=magma")
    expect(page.get_by_role("slider", name="Opacity")).to_have_value("1")
    seen = colours(save(page, "PNG", tmp_path))
    assert without.shape == seen.shape and min(seen.shape[:2]) > 400
    height, width, _ = seen.shape
    shape = (slice(height // 4, height // 2), slice(width // 4, 3 * width // 4))
    # Where the map is, and not in the heading above it, which is the page's ink on its paper.
    assert np.abs(seen[shape] - without[shape]).max() > 60
    heading = slice(0, 40)
    np.testing.assert_array_equal(seen[heading], without[heading])
    assert heading_ink(seen[heading]) > 50


def heading_ink(strip: np.ndarray[Any, Any]) -> int:
    return int((strip.sum(axis=2) < 300).sum())


def test_an_atlas_and_a_comparison_are_saved_too(page: Page, tmp_path: Path) -> None:
    page.goto("/explore?layer=stage2")
    saved = codec.read_npz(save(page, "npz", tmp_path, "#atlas").read_bytes())
    (layer,) = saved["answer"]["activations"]
    assert layer["layer"] == "stage2" and layer["maps"].shape[0] == 32
    page.goto("/compare?method=grad_cam")
    told = json.loads(save(page, "JSON", tmp_path, "#compare-maps").read_text())
    assert [result["model"]["name"] for result in told["results"]] == [
        "shapes-clean",
        "shapes-shortcut",
    ]
    picture = io.BytesIO(save(page, "PNG", tmp_path, "#compare-maps").read_bytes())
    with Image.open(picture) as both:
        assert both.width > both.height


def test_a_link_brings_back_the_look_too(page: Page, chromium: Browser) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/?method=grad_cam")
    heat = page.locator(HEAT).first
    expect(heat).to_be_attached()
    page.get_by_role("slider", name="Hide below").press("End")
    page.get_by_role("combobox", name="Colours").select_option("Magma")
    page.locator(".sentence").first.click()
    page.keyboard.press("[")
    expect(page).to_have_url(re.compile(r"#opacity=0\.75&hide=1&colours=magma$"))
    page.get_by_role("slider", name="Hide below").press("Home")
    expect(page).to_have_url(re.compile(r"#opacity=0\.75&colours=magma$"))
    page.get_by_role("switch", name="Pale photo").click()
    expect(page).to_have_url(re.compile(r"#opacity=0\.75&colours=magma&photo=bright$"))
    page.get_by_role("link", name="square", exact=True).click()
    expect(page.locator(".sentence").first).to_have_text(re.compile("^square"))
    expect(page).to_have_url(re.compile(r"class=2.*#opacity=0\.75&colours=magma&photo=bright$"))
    page.keyboard.press("c")
    expect(page.locator("#working")).to_have_text("The link is copied.")
    link = page.evaluate("navigator.clipboard.readText()")
    other = chromium.new_context()
    visitor = other.new_page()
    visitor.goto(link)
    expect(visitor.locator(".sentence").first).to_have_text(re.compile("^square"))
    expect(visitor.get_by_role("combobox", name="Colours")).to_have_value("magma")
    expect(visitor.get_by_role("switch", name="Pale photo")).not_to_be_checked()
    looks = visitor.locator(HEAT).first
    expect(looks).to_have_attribute("href", heat.get_attribute("href") or "")
    other.close()


@pytest.mark.parametrize("look", ["#opacity=2&hide=x&colours=__proto__", "#opacity=NaN", "#page"])
def test_a_look_that_is_none_is_the_usual_one(page: Page, look: str) -> None:
    page.goto(f"/?method=grad_cam{look}")
    expect(page.locator(HEAT).first).to_be_attached()
    expect(page.get_by_role("slider", name="Opacity")).to_have_value("0.8")
    expect(page.get_by_role("combobox", name="Colours")).to_have_value("usual")


def test_what_a_unit_under_the_pointer_sees_is_boxed(page: Page) -> None:
    """Of a layer's map; a map of the input has no layer to say it of."""
    page.goto("/?method=grad_cam&method=saliency")
    panels = page.locator(".panel")
    for panel, boxes in ((panels.nth(0), 1), (panels.nth(1), 0)):
        expect(panel.locator(".body .saving")).to_be_visible()
        panel.locator(".nsewdrag").first.hover(position={"x": 120, "y": 120})
        expect(panel.locator(".hoverlayer text").first).to_contain_text("value")
        expect(panel.locator(".shapelayer path")).to_have_count(boxes)
