"""For everybody: what axe-core finds, a narrow screen, the dark, and the keyboard."""

from __future__ import annotations

from typing import Any

import pytest
from browser_fixtures.pages import grave
from playwright.sync_api import Page, expect

PAGES = (
    "/",
    "/?method=grad_cam&method=saliency",
    "/explore?channel=1",
    "/explore?layer=stem.conv&channel=5&out=1",
    "/compare",
    "/models",
    "/models?file=shapes-clean",
    "/nowhere",
)


def settle(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#health")).to_have_text("2 models")
    expect(page.locator("[data-dash-is-loading=true]")).to_have_count(0)
    page.wait_for_timeout(1000)
    expect(page.locator("[data-dash-is-loading=true]")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", PAGES)
def test_nothing_grave_is_found(page: Page, axe: str, address: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    settle(page, address)
    assert grave(page, axe) == []


@pytest.mark.parametrize("address", PAGES)
def test_a_narrow_screen_has_one_column_and_nothing_is_cut_off(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    settle(page, address)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390


def test_keys(page: Page) -> None:
    settle(page, "/")
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
    settle(page, "/models")
    page.get_by_role("button", name="Keys").click()
    listed = page.get_by_role("dialog")
    expect(listed).to_contain_text("explain the first, second")
    assert grave(page, axe) == []
    listed.get_by_role("button", name="Close").click()
    expect(listed).to_be_hidden()
