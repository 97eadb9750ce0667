"""Two versions of one model: the demo's honest one, and after it the one that has learned the mark.

They are compared, with each other and with other models, and managed on the page Models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_fixtures.packing import with_manifest
from browser_fixtures.pages import HEAT
from playwright.sync_api import Browser, Locator, Page, expect

from servelens.client import Server
from servelens.local import TorchServe

TWIN, FIRST, SECOND = "twin", "1.0", "2.0"
MADE_OF = {FIRST: "shapes-clean.mar", SECOND: "shapes-shortcut.mar"}
SHARE = r"(\d+|under 1|over 99) %"
# The cells by which a table says whose numbers they are.
WHOSE = "rows => [...new Set(rows.map((row) => row.cells[0].textContent))]"


@pytest.fixture(scope="module")
def archives(store: Path, torchserve: TorchServe) -> Iterator[dict[str, str]]:
    """In the store, by version; what was registered of them goes with them."""
    made = {version: f"{TWIN}-{version}.mar" for version in MADE_OF}
    for version, archive in made.items():
        named = {"modelName": TWIN, "modelVersion": version}
        with_manifest(store / MADE_OF[version], store / archive, **named)
    yield made
    take_away(torchserve.client)
    for archive in made.values():
        (store / archive).unlink()


@pytest.fixture
def client(torchserve: TorchServe, archives: dict[str, str]) -> Server:
    """Of a server that has both with a worker each, and the first as the default one, whatever
    another test has done."""
    there = workers(torchserve.client)
    for version, archive in archives.items():
        if version not in there:
            torchserve.client.register(archive, TWIN)
        elif there[version] != 1:
            torchserve.client.scale(TWIN, 1, version=version)
    torchserve.client.set_default(TWIN, FIRST)
    return torchserve.client


def workers(client: Server) -> dict[str, int]:
    """How many each version has that is registered."""
    if TWIN not in client.models():
        return {}
    return {version.version: len(version.workers) for version in client.versions(TWIN)}


def take_away(client: Server) -> None:
    """The default one last, for TorchServe takes no other order."""
    there = workers(client)
    default = client.describe(TWIN).version if there else None
    for version in sorted(there, key=lambda version: version == default):
        client.unregister(TWIN, version=version)


def compared(page: Page, *models: str) -> list[str]:
    """What is said of them together, once all that a comparison has is there for each of them."""
    panels = page.locator(".panel")
    expect(panels).to_have_count(len(models))
    for panel, model in zip(panels.all(), models, strict=True):
        expect(panel.get_by_role("heading", level=2)).to_have_text(f"{model} Grad-CAM")
        expect(panel.locator(".sentence")).to_contain_text("of the evidence lies")
        expect(panel.locator(HEAT)).to_have_count(1)
    expect(page.locator("#compare-steps h3")).to_have_text(list(models))
    expect(page.locator("#compare-steps .layer-subplot image")).to_have_count(len(models))
    said = page.locator("#compare-predictions .sentence"), page.locator("#compare-places")
    expect(said[1]).to_contain_text(f"Where {models[0]} has its evidence lies")
    for part in ("predictions", "depth", "steps"):
        rows = page.locator(f"#compare-{part} tbody tr")
        assert rows.evaluate_all(WHOSE) == list(models)
    return [words.inner_text() for words in said]


def heats(page: Page) -> list[str | None]:
    return [panel.locator(HEAT).get_attribute("href") for panel in page.locator(".panel").all()]


def reopened(chromium: Browser, address: str, *models: str) -> list[str]:
    """What somebody else sees at the address."""
    other = chromium.new_context()
    visitor = other.new_page()
    visitor.goto(address)
    told = compared(visitor, *models)
    other.close()
    return told


@pytest.mark.usefixtures("client")
def test_two_versions_of_one_model_are_compared(page: Page, chromium: Browser) -> None:
    page.goto(f"/compare?model={TWIN}")
    expect(page.locator(".panel")).to_have_count(1)
    page.get_by_role("textbox", name="Models").click()
    page.get_by_role("option", name=f"{TWIN} {SECOND}").click()
    both = TWIN, f"{TWIN}:{SECOND}"
    compared(page, *both)
    page.get_by_role("link", name="square, marked").click()
    verdict = rf"They disagree: twin says square \(.+\), twin:{SECOND} says disc \(.+\)\."
    expect(page.locator("#compare-predictions .sentence")).to_have_text(re.compile(verdict))
    told = compared(page, *both)
    assert re.fullmatch(rf"Where {TWIN} has its evidence lies {SHARE} of {both[1]}'s\.", told[1])
    honest, shortcut = heats(page)
    assert honest != shortcut
    assert reopened(chromium, page.url, *both) == told


@pytest.mark.usefixtures("client")
def test_three_models_are_compared_and_equal_ones_found_equal(
    page: Page, chromium: Browser
) -> None:
    """The twin's first version has the weights of shapes-clean."""
    page.goto("/compare")
    three = "shapes-clean", "shapes-shortcut", TWIN
    said, places = compared(page, *three)
    assert said == "All 3 models say disc."
    overlap = rf"lies {SHARE} of shapes-shortcut's and (100|over 99) % of twin's\."
    assert re.search(overlap, places)
    clean, shortcut, twin = heats(page)
    assert clean == twin != shortcut
    page.get_by_role("link", name="square, marked").click()
    each = rf"{three[0]} says square \(.+\), {three[1]} says disc \(.+\), {TWIN} says square \(.+\)"
    expect(page.locator("#compare-predictions .sentence")).to_have_text(
        re.compile(f"They disagree: {each}")
    )
    told = compared(page, *three)
    assert reopened(chromium, page.url, *three) == told


def row_of(page: Page, version: str) -> Locator:
    rows = page.get_by_role("table", name="Registered models").get_by_role("row")
    named = page.get_by_role("rowheader", name=TWIN, exact=True)
    of_version = page.get_by_role("cell", name=re.compile(rf"^{re.escape(version)}( |$)"))
    return rows.filter(has=named).filter(has=of_version)


def test_the_default_version_is_not_unregistered_before_the_others(
    page: Page, client: Server
) -> None:
    page.goto("/models")
    row = row_of(page, FIRST)
    row.get_by_text("Unregister…").click()
    row.get_by_role("button", name=f"Unregister {TWIN} {FIRST}").click()
    expect(page.locator("#models-told")).to_have_text(
        f"The default version goes last, and {TWIN} {FIRST} is the default one: "
        "make another the default first."
    )
    assert set(workers(client)) == {FIRST, SECOND}


def test_one_of_two_versions_is_scaled_made_the_default_one_and_unregistered(
    page: Page, client: Server
) -> None:
    page.goto("/models")
    first, second = row_of(page, FIRST), row_of(page, SECOND)
    told = page.locator("#models-told")
    expect(first).to_contain_text(f"{FIRST} default")
    expect(first.get_by_role("button", name="Make default")).to_have_count(0)

    second.get_by_role("button", name="One worker more").click()
    expect(told).to_have_text(f"{TWIN} {SECOND} has 2 workers.")
    expect(second).to_contain_text("− 2 +")
    assert workers(client) == {FIRST: 1, SECOND: 2}
    second.get_by_role("button", name="One worker fewer").click()
    expect(told).to_have_text(f"{TWIN} {SECOND} has 1 worker.")
    expect(second).to_contain_text("− 1 +")
    assert workers(client) == {FIRST: 1, SECOND: 1}

    second.get_by_role("button", name="Make default").click()
    expect(told).to_have_text(f"{TWIN} without a version is {SECOND} now.")
    expect(second).to_contain_text(f"{SECOND} default")
    assert client.describe(TWIN).version == SECOND
    for row, model in ((second, TWIN), (first, f"{TWIN}:{FIRST}")):
        link = row.get_by_role("link", name=TWIN)
        expect(link).to_have_attribute("href", f"/explain?model={model}")

    fewer = first.get_by_role("button", name="One worker fewer")
    fewer.click()
    expect(first).to_contain_text("no worker")
    expect(fewer).to_be_disabled()
    assert workers(client) == {FIRST: 0, SECOND: 1}
    expect(page.locator("#health")).to_have_text("4 models, 1 without a worker")

    unregister = first.get_by_role("button", name=f"Unregister {TWIN} {FIRST}")
    expect(unregister).to_be_hidden()
    first.get_by_text("Unregister…").click()
    expect(first).to_contain_text(f"This ends the workers of {TWIN} {FIRST}.")
    assert set(workers(client)) == {FIRST, SECOND}
    unregister.click()
    expect(told).to_have_text(f"{TWIN} {FIRST} is unregistered; its archive is where it was.")
    expect(first).to_have_count(0)
    expect(second).to_have_count(1)
    assert set(workers(client)) == {SECOND}
