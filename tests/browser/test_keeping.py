"""Whatever a page shows of a model's answer can be kept; where it cannot, a person reads why."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from browser_fixtures.pages import save, saving, without_pulse
from PIL import Image
from playwright.sync_api import Page, Route, expect

from servelens.local import Model, TorchServe
from servelens_dashboard.export_parts import PARTS
from servelens_dashboard.exports import KINDS

EXPLAIN, EXPLORE = "/?method=grad_cam", "/explore?layer=stem.conv&channel=5&out=1"
COMPARE = "/compare?method=grad_cam"
# Where on its page each part is.
PLACES: dict[str, dict[str, str]] = {
    "explain": {"map": ".panel .body", "card": ".trust", "predictions": "#predictions"},
    "explore": {
        "network": "#network",
        "atlas": "#atlas",
        "statistics": "#statistics",
        "channel": "#channel-look figure:nth-child(1)",
        "unit": "#channel-look figure:nth-child(2)",
        "knock-out": "#channel-out",
        "weights": "#channel-learned",
        "journey": "#journey",
        "predictions": "#predictions",
    },
    "compare": {
        "map": "#compare-maps",
        "predictions": "#compare-predictions",
        "statistics": "#compare-depth",
        "steps": "#compare-steps",
    },
}
PAGES = {"explain": EXPLAIN, "explore": EXPLORE, "compare": COMPARE}
# The graphs beside which there is no button that makes a picture of them.
UNKEPT = """() => {
  const rows = [...document.querySelectorAll("main .save-picture")].map(
    (button) => button.closest(".folded") || button.closest(".saving"));
  return [...document.querySelectorAll("main .js-plotly-plot")]
    .filter((graph) => !rows.some((row) => row.parentElement.contains(graph)))
    .map((graph) => graph.parentElement.id);
}"""
COPIED = """async () => {
  let text = "";
  while (!text) {
    await new Promise(requestAnimationFrame);
    text = await navigator.clipboard.readText();
  }
  return text;
}"""
ANSWERS = """async ([address, ok]) => {
  while ((await fetch(address)).ok !== ok) await new Promise((go) => setTimeout(go, 200));
}"""


@pytest.fixture
def kept(page: Page) -> list[str]:
    """The names of the files that the browser has kept."""
    names: list[str] = []
    page.on("download", lambda file: names.append(file.suggested_filename))
    return names


def shown(page: Page, name: str) -> None:
    """All parts of the page are there."""
    page.goto(PAGES[name])
    for place in PLACES[name].values():
        expect(page.locator(place).locator(".saving a").first).to_be_attached()


def opens(path: Path) -> None:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as saved:
            assert len(saved.files) > 1
            assert all(saved[name].size for name in saved.files)
    elif path.suffix == ".json":
        assert isinstance(json.loads(path.read_bytes()), dict)
    elif path.suffix == ".html":
        text = path.read_text(encoding="utf-8")
        assert text.startswith("<!DOCTYPE html>") and text.rstrip().endswith("</html>")
    else:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        assert len(np.unique(pixels, axis=0)) > 20


@pytest.mark.parametrize("name", PAGES)
def test_every_part_is_saved_in_each_of_its_formats(page: Page, name: str, tmp_path: Path) -> None:
    shown(page, name)
    assert PLACES[name].keys() == PARTS[name].keys()
    for part, place in PLACES[name].items():
        titles = [KINDS[kind].title for kind in PARTS[name][part].formats]
        pictures = ["PNG"] if PARTS[name][part].is_picture else []
        row = saving(page, place)
        assert row.locator("a, .save-picture").all_inner_texts() == [*pictures, *titles]
        for title in (*pictures, *titles):
            opens(save(page, title, tmp_path, place))


@pytest.mark.parametrize("name", PAGES)
def test_nothing_that_is_drawn_is_left_out(page: Page, name: str) -> None:
    shown(page, name)
    links = page.locator("a[href^='/export/']").evaluate_all("(all) => all.map((a) => a.href)")
    parts = {parse_qs(urlsplit(link).query)["part"][0] for link in links}
    assert parts == PARTS[name].keys()
    assert page.locator(".js-plotly-plot").count() > 1
    assert page.evaluate(UNKEPT) == []


def test_graphs_under_each_other_are_so_in_their_picture(page: Page, tmp_path: Path) -> None:
    shown(page, "explore")
    sizes = page.locator("#journey .js-plotly-plot").evaluate_all(
        "(all) => all.map((one) => [one.clientWidth, one.clientHeight])"
    )
    assert len(sizes) == 2
    with Image.open(save(page, "PNG", tmp_path, "#journey")) as picture:
        width, height = picture.size
    assert height > 2 * sum(high for _, high in sizes)
    assert 2 * max(wide for wide, _ in sizes) < width < 2 * sum(wide for wide, _ in sizes)


# -------------------------------------------------------------------------------------- calls

# Of a part: what the shell's call answers, and a line that the script prints.
CALLS: dict[str, dict[str, tuple[str, str]]] = {
    "/?method=saliency&class=1": {
        ".panel .body": ('"method":"saliency"', r"^attributions/0/map \(64, 64\)$"),
        ".trust": ('"deletion_auc":0.', r"^attributions/0/map \(64, 64\)$"),
        "#predictions": ('"predictions":[{"index":', r"^disc 0\.\d+$"),
    },
    EXPLORE: {
        "#network": ('"default_layers":[', r"^stage2 Sequential \[32, 16, 16\]$"),
        "#atlas": ('"layer":"stem.conv"', r"^activations/0/maps \(16, \d+, \d+\)$"),
        "#statistics": ('"dead_channels":', r"^disc 0\.\d+$"),
        PLACES["explore"]["channel"]: ('"channels":[{"index":5,', r"^activations/0/maps \(1, "),
        PLACES["explore"]["unit"]: ('"receptive_field":{', r"^receptive_field/map \(64, 64\)$"),
        "#channel-out": ('"ablation":{"before":', r"^square \S+$"),
        "#channel-learned": ('"kernels":{', r"^weights/0/kernels \(16, 3, 3, 3\)$"),
        "#journey": ('"layer":"stage3"', r"^activations/3/maps \(1, \d+, \d+\)$"),
        "#predictions": ('"predictions":[{"index":', r"^disc 0\.\d+$"),
    },
    "/compare?model=shapes-shortcut": {
        ".panel": ('"shapes-shortcut"', r"^attributions/0/map \(16, 16\)$"),
        "#compare-predictions": ('"shapes-shortcut"', r"^disc 0\.\d+$"),
        "#compare-depth": ('"dead_channels":', r"^disc 0\.\d+$"),
    },
}


@pytest.mark.parametrize("address", CALLS)
def test_copied_calls_run_as_they_are(page: Page, tmp_path: Path, address: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(address)
    for place, (answer, line) in CALLS[address].items():
        ran = run(["bash", "-c", copied(page, place, "Copy as curl")])
        assert answer in ran.stdout.replace(" ", ""), (place, ran.stdout[:400], ran.stderr)
        script = tmp_path / "copied.py"
        script.write_text(copied(page, place, "Copy as Python"))
        ran = run([sys.executable, str(script)])
        assert re.search(line, ran.stdout, re.MULTILINE), (place, ran.stdout, ran.stderr)


def test_of_several_models_the_call_of_each_is_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(COMPARE)
    for model in ("shapes-clean", "shapes-shortcut"):
        ran = run(["bash", "-c", copied(page, "#compare-steps", f"Copy {model} as curl")])
        told = json.loads(ran.stdout)
        assert told["model"]["name"] == model
        layers = [layer["layer"] for layer in told["activations"]]
        assert layers == ["stem", "stage1", "stage2", "stage3"]


def test_a_copied_call_is_said_to_be_for_a_moment(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(EXPLAIN)
    copied(page, ".panel .body", "Copy as curl")
    expect(page.locator("#working")).to_have_text("The call is copied.")
    expect(page.locator("#working")).to_have_text("")


def copied(page: Page, place: str, words: str) -> str:
    button = page.locator(place).locator(f"[aria-label='{words}']")
    expect(button).to_be_attached()
    if not button.is_visible():
        page.locator(place).locator(".folded > summary").click()
    page.evaluate("navigator.clipboard.writeText('')")
    button.click()
    return str(page.evaluate(COPIED))


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


# ------------------------------------------------------------------------------- what goes wrong


def settle(page: Page, row: Any, ok: bool) -> None:
    """The dashboard looks at its server once a second, and knows by then."""
    address = row.locator("a").first.get_attribute("href")
    page.evaluate(ANSWERS, [address, ok])


def test_a_save_from_a_stopped_server_is_told_and_no_file_is_kept(
    page: Page, torchserve: TorchServe, kept: list[str], said: list[str], tmp_path: Path
) -> None:
    without_pulse(page)
    page.goto(EXPLAIN)
    row, told = saving(page, ".panel .body"), page.locator("#working")
    expect(page.locator(".trust .saving")).to_be_attached()
    torchserve.front_end.stop()
    settle(page, row, ok=False)
    for name in ("HTML report", "npz", "JSON"):
        with page.expect_response("**/export/**") as answered:
            row.get_by_text(name, exact=True).click()
        assert answered.value.status == 400
        expect(told).to_contain_text("did not answer")
        expect(told).to_contain_text("Start TorchServe")
    with page.expect_response("**/calls/**"):
        row.get_by_role("button", name="Copy as curl").click()
    expect(told).to_contain_text("Start TorchServe")
    assert kept == []
    opens(save(page, "PNG", tmp_path))
    torchserve.front_end.start()
    for model in torchserve.models:
        torchserve.register(model)
    settle(page, row, ok=True)
    opens(save(page, "JSON", tmp_path))
    expect(told).to_have_text("")
    assert len(kept) == 2
    assert all("400" in line for line in said)
    said.clear()


def test_a_save_from_a_model_that_is_gone_is_told(
    page: Page, torchserve: TorchServe, kept: list[str], said: list[str]
) -> None:
    torchserve.register(Model("shapes-clean.mar", "passing", workers=1))
    without_pulse(page)
    page.goto("/explore?model=passing&layer=stage2")
    row, told = saving(page, "#statistics"), page.locator("#working")
    torchserve.client.unregister("passing")
    settle(page, row, ok=False)
    row.get_by_text("JSON", exact=True).click()
    expect(told).to_contain_text("No model is registered as 'passing'")
    assert kept == []
    assert all("400" in line for line in said)
    said.clear()


def test_a_dashboard_that_does_not_answer_is_told(
    page: Page, kept: list[str], said: list[str]
) -> None:
    page.goto(EXPLAIN)
    row, told = saving(page, ".panel .body"), page.locator("#working")
    for door in ("**/export/**", "**/calls/**"):
        page.route(door, lambda route: route.abort())
    row.get_by_text("npz", exact=True).click()
    expect(told).to_have_text("The dashboard does not answer. Is it still running?")
    page.evaluate("dash_clientside.set_props('working', { children: '' })")
    expect(told).to_have_text("")
    row.get_by_role("button", name="Copy as Python").click()
    expect(told).to_have_text("The dashboard does not answer. Is it still running?")
    assert kept == []
    assert all("ERR_FAILED" in line for line in said)
    said.clear()


def test_a_picture_that_cannot_be_made_is_told(page: Page, kept: list[str]) -> None:
    page.goto(EXPLAIN)
    row = saving(page, ".panel .body")
    page.evaluate("() => { Plotly.toImage = () => Promise.reject(new Error('no canvas')); }")
    row.get_by_text("PNG", exact=True).click()
    expect(page.locator("#working")).to_have_text(
        "This browser could not make the picture; the other formats have its numbers."
    )
    assert kept == []


def test_a_file_that_takes_a_while_is_said_to_be_made(page: Page) -> None:
    page.goto(EXPLAIN)
    row, told = saving(page, ".panel .body"), page.locator("#working")
    held: list[Route] = []
    page.route("**/export/**", lambda route: held.append(route))
    row.get_by_text("JSON", exact=True).click()
    expect(told).to_have_text("The file is being made…")
    with page.expect_download():
        held[0].continue_()
    expect(told).to_have_text("")
