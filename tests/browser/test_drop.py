"""One's own weights dropped in the browser: recognised, built, registered, and looked into."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import torch
from archive_fixtures.tiny import pack_tiny
from browser_fixtures.looking import grave
from browser_fixtures.pages import drop, explained
from playwright.sync_api import Page, expect
from torchvision import models

from servelens.local import TorchServe

# A worker and the builder's processes import torch, on a machine that may be busy.
LONG_MS = 300_000
AS_IT_WAS = "theirs-as-it-was"


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """A grey model of four classes, its weights as a wrapper saved them."""
    torch.manual_seed(5)
    net = models.squeezenet1_1(num_classes=4)
    net.features[0] = torch.nn.Conv2d(1, 64, 3, 2)
    state = {f"module.{name}": value for name, value in net.state_dict().items()}
    path = tmp_path / "birds.pt"
    torch.save({"state_dict": state, "epoch": 3}, path)
    return path


@pytest.fixture
def gone_after(torchserve: TorchServe, store: Path) -> Iterator[list[str]]:
    """Models that a test registers; other tests find the server as it was."""
    names: list[str] = []
    yield names
    for name in names:
        torchserve.client.unregister(name)
        (store / f"{name}.mar").unlink()


def choose(page: Page, path: Path) -> None:
    """As by the button on the page Models."""
    with page.expect_file_chooser() as chooser:
        page.locator(".choose-file").click()
    chooser.value.set_files(path)
    page.wait_for_url("**/models?file=*", timeout=LONG_MS)


def test_weights_become_a_heatmap(page: Page, axe: str, birds: Path, gone_after: list[str]) -> None:
    page.goto("/explore")
    expect(page.locator("#health")).to_have_text("2 models")
    drop(page, birds.read_bytes(), kind="", name=birds.name)
    page.wait_for_url("**/models?*file=*", timeout=LONG_MS)
    build = page.get_by_role("button", name="Build and register")
    expect(build).to_be_visible(timeout=LONG_MS)
    expect(page.locator(".file")).to_contain_text("All 52 tensors are those of a squeezenet1_1.")
    expect(page.locator(".file")).to_contain_text("4 classes by its head, and grey photos")
    expect(page.get_by_role("textbox", name="Architecture")).to_have_value("squeezenet1_1")
    expect(page.get_by_role("textbox", name="Channels")).to_have_value("1")
    assert grave(page, axe) == []

    labels = page.get_by_role("textbox", name="Names of the classes")
    labels.fill("owl\nwren")
    page.get_by_role("textbox", name="Pixels").fill("64")
    build.click()
    trouble = page.locator("#file-work .notice")
    expect(trouble).to_contain_text(
        "labels has 2 names where [model] num_classes is 4", timeout=LONG_MS
    )
    expect(labels).to_have_value("owl\nwren")  # what was typed is still there

    labels.fill("owl\nwren\ncrow\njay")
    build.click()
    expect(page.get_by_role("log", name="Progress")).to_contain_text(
        "preparing the weights", timeout=LONG_MS
    )
    gone_after.append("birds")
    page.wait_for_url("**/explain?model=birds*", timeout=LONG_MS)
    expect(page.locator(".sentence").first).to_contain_text(
        re.compile(r"^(owl|wren|crow|jay), 0\.\d+; "), timeout=LONG_MS
    )
    expect(page.locator(".panel .js-plotly-plot").first).to_be_visible()
    expect(page.get_by_role("textbox", name="Model")).to_have_value("birds 1.0")


class Bomb:
    """What a hostile file looks like: unpickling it calls what it names."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit",))


def test_a_hostile_file_is_refused_with_a_sentence_and_can_be_removed(
    page: Page, tmp_path: Path, axe: str
) -> None:
    path = tmp_path / "evil.pt"
    torch.save({"state_dict": {"w": torch.ones(1)}, "more": Bomb()}, path)
    page.goto("/models")
    choose(page, path)
    told = page.locator(".file .notice")
    expect(told).to_contain_text(
        "evil.pt asks for exec, which could run code, so it was not opened; save the "
        "weights alone with torch.save(model.state_dict(), path).",
        timeout=LONG_MS,
    )
    expect(page.get_by_role("button", name="Build and register")).to_have_count(0)
    assert grave(page, axe) == []
    page.reload()
    expect(told).to_contain_text("evil.pt asks for exec", timeout=LONG_MS)
    page.get_by_role("button", name="Remove the file").click()
    expect(page.get_by_text("evil.pt")).to_have_count(0)
    assert "file=" not in page.url


def test_what_fits_nothing_says_what_to_do(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "own.pt"
    torch.save(torch.nn.Linear(3, 2).state_dict(), path)
    page.goto("/models")
    choose(page, path)
    expect(page.locator(".file .notice")).to_contain_text(
        "own.pt fits no architecture of torchvision's; a model of your own class takes a recipe",
        timeout=LONG_MS,
    )


def test_a_file_can_be_dropped_on_any_page(page: Page, tmp_path: Path) -> None:
    page.goto("/explain")
    expect(page.locator("#health")).to_have_text("2 models")
    drop(page, b"{}", kind="", name="recipe.toml")
    page.wait_for_url("**/models?*file=*")
    told = page.locator(".file .notice")
    expect(told).to_contain_text("recipe.toml is no recipe")
    with page.expect_response(lambda r: "look-again" in (r.request.post_data or "")):
        told.get_by_role("button", name="Retry").click()
    expect(told).to_contain_text("recipe.toml is no recipe")


def test_a_file_that_is_none_of_ours_goes_no_further(page: Page) -> None:
    page.goto("/models")
    answer = page.request.post("/files?name=evil.py", data=b"x")
    assert (answer.status, answer.json()["error"][:20]) == (400, "'evil.py' is none of")
    other = page.request.post(
        "/files?name=a.pt", data=b"x", headers={"origin": "http://evil.example"}
    )
    assert other.status == 403


def test_an_archive_is_registered_after_a_warning(
    page: Page, store: Path, tmp_path: Path, gone_after: list[str]
) -> None:
    path = tmp_path / "twin.mar"
    path.write_bytes((store / "shapes-clean.mar").read_bytes())
    page.goto("/models")
    choose(page, path)
    expect(page.locator(".file")).to_contain_text("An archive brings code of its own")
    name = page.get_by_role("textbox", name="Name").first
    name.fill("shapes-clean")
    page.get_by_role("button", name="Register", exact=True).first.click()
    expect(page.locator("#file-work .notice")).to_contain_text(
        "The model store has a shapes-clean.mar already; take another name."
    )
    name.fill("twin")
    page.get_by_role("button", name="Register", exact=True).first.click()
    gone_after.append("twin")
    page.wait_for_url("**/explain?model=twin*", timeout=LONG_MS)
    expect(page.locator(".sentence").first).to_contain_text("disc, 0.9")


@pytest.fixture
def theirs(root: Path, torchserve: TorchServe, store: Path, tmp_path: Path) -> Iterator[Path]:
    """A stock archive of somebody else's, which is served as it is under another name."""
    archive = pack_tiny(root, tmp_path, "theirs", "image_classifier")
    there = store / f"{AS_IT_WAS}.mar"
    shutil.copy(archive, there)
    torchserve.client.register(there.name, AS_IT_WAS)
    yield archive
    torchserve.client.unregister(AS_IT_WAS)
    there.unlink()


def bare(torchserve: TorchServe, name: str, photo: bytes) -> tuple[int, str | None, bytes]:
    """A plain prediction as it came."""
    headers = {**torchserve.authorization(), "Content-Type": "application/octet-stream"}
    url = f"{torchserve.url}/predictions/{name}"
    answer = requests.post(url, data=photo, headers=headers, timeout=60)
    return answer.status_code, answer.headers.get("Content-Type"), answer.content


def test_a_stock_archive_gets_a_lens_and_predicts_as_before(
    page: Page, root: Path, torchserve: TorchServe, theirs: Path, gone_after: list[str]
) -> None:
    page.goto("/explain")
    expect(page.locator("#health")).to_have_text("3 models")
    drop(page, theirs.read_bytes(), kind="", name=theirs.name)
    page.wait_for_url("**/models?*file=*")
    expect(page.locator(".file")).to_contain_text("An archive brings code of its own")
    lens = page.get_by_role("textbox", name="Lens")
    expect(lens).to_have_value("put one beside its handler")
    page.locator(".file").get_by_role("button", name="Register").click()
    gone_after.append("theirs")
    page.wait_for_url("**/explain?model=theirs*", timeout=LONG_MS)
    explained(page)
    expect(page.get_by_role("heading", name="Grad-CAM").first).to_be_visible()
    expect(page.get_by_role("textbox", name="Model")).to_have_value("theirs 1.0")
    samples = (root / "archives" / "demo" / "samples").glob("*.png")
    photos = [path.read_bytes() for path in samples if "." not in path.stem]
    before = [bare(torchserve, AS_IT_WAS, photo) for photo in photos]
    assert [bare(torchserve, "theirs", photo) for photo in photos] == before
    assert {status for status, *_ in before} == {200}
    assert len({content for *_, content in before}) == len(photos)


def test_a_recipe_that_ships_is_shown_to_be_changed(page: Page) -> None:
    page.goto("/models")
    page.get_by_role("link", name="mobilenet_v3_small").click()
    expect(page.get_by_role("textbox", name="Architecture")).to_have_value("mobilenet_v3_small")
    expect(page.get_by_role("button", name="Build and register")).to_be_visible()
    expect(page.get_by_role("button", name="Remove the file")).to_have_count(0)


def test_the_server_tells_its_figures(page: Page) -> None:
    page.goto("/models")
    gauges = page.locator("#gauges")
    expect(gauges).to_contain_text(re.compile(r"Answers\s*\d[\d,]* given, \d+ refused, \d+ failed"))
    axes = gauges.get_by_role("columnheader", name="mean wait in the queue")
    page.goto("/explain")
    expect(page.locator(".sentence").first).to_be_visible()
    page.goto("/models")
    expect(axes).to_be_visible()
