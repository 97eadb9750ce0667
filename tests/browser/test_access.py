"""For everybody: what axe-core finds, names and tables of pictures, the dark, and the keyboard."""

from __future__ import annotations

from typing import Any

import pytest
from browser_fixtures.looking import SIGHTS, Sight, grave, see, twinless, unfold
from browser_fixtures.pages import explained
from playwright.sync_api import Page, expect

# One of each kind of picture, named and not, none with a table.
PICTURES = """() => {
  const place = document.querySelector(".stage");
  place.insertAdjacentHTML("beforeend", `
    <div role="img" aria-label="a graph"><div class="js-plotly-plot"><p>40 pixels</p></div></div>
    <canvas width="100" height="100" role="img"></canvas>
    <svg width="100" height="100"></svg>
    <img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt=" ">
  `);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHTS, ids=str)
def test_nothing_grave_is_found_and_every_picture_has_a_name_and_a_table(
    page: Page, axe: str, sight: Sight, scheme: Any
) -> None:
    page.emulate_media(color_scheme=scheme)
    see(page, sight)
    unfold(page)
    assert grave(page, axe) == []
    assert twinless(page) == []


def test_a_picture_that_came_without_would_be_found(page: Page) -> None:
    see(page, SIGHTS[0])
    page.evaluate(PICTURES)
    found = [picture[:4] for picture in twinless(page)]
    assert found == ["<div", "<can", "<svg", "<img"]


def test_keys(page: Page) -> None:
    page.goto("/")
    explained(page)
    page.keyboard.press("2")
    expect(page.locator(".predictions tbody tr").nth(1)).to_have_attribute("aria-current", "true")
    slider = page.get_by_role("slider", name="Opacity")
    expect(slider).to_have_value("0.8")
    page.keyboard.press("[")
    expect(slider).to_have_value("0.75")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keys")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_keys_are_listed_by_a_button_too(page: Page, axe: str) -> None:
    page.goto("/models")
    page.get_by_role("button", name="Keys").click()
    listed = page.get_by_role("dialog")
    expect(listed).to_contain_text("explain the first, second")
    assert grave(page, axe) == []
    listed.get_by_role("button", name="Close").click()
    expect(listed).to_be_hidden()
