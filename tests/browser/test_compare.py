"""Several models beside each other: each comes by itself, can be stopped, and fails alone."""

from __future__ import annotations

import re

import pytest
from browser_fixtures.pages import asked_from_now_on
from playwright.sync_api import Page, expect

BAR = ".infolayer .colorbar text"


def test_a_slow_comparison_is_seen_to_go_on_and_is_stopped_model_by_model(page: Page) -> None:
    page.goto("/compare?method=rise~samples=9999")
    panels = page.locator(".panel")
    first, second = panels.nth(0), panels.nth(1)
    for panel in (first, second):
        expect(panel.get_by_role("progressbar")).to_be_visible()
        expect(panel.locator(".sentence")).to_contain_text("of the evidence lies")
    first.get_by_role("button", name="Cancel").click()
    expect(first).to_contain_text("%, stopped")
    so_far = second.get_by_role("progressbar").get_attribute("value")
    expect(second.get_by_role("progressbar")).not_to_have_attribute("value", so_far or "")
    second.get_by_role("button", name="Cancel").click()
    expect(second).to_contain_text("%, stopped")
    asked = asked_from_now_on(page, "rise")
    page.wait_for_timeout(2000)
    assert not asked
    expect(page.locator("#compare-predictions")).to_contain_text("Both models say disc.")
    expect(page.locator("#compare-places")).to_be_empty()
    page.locator("#scheme").click()
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    for panel in (first, second):
        expect(panel).to_contain_text("%, stopped")
    done = first.get_by_role("progressbar").get_attribute("value")
    first.get_by_role("button", name="Go on").click()
    expect(first.get_by_role("progressbar")).not_to_have_attribute("value", done or "")


def test_one_model_alone_stays_so_and_is_told_so(page: Page) -> None:
    page.goto("/compare")
    panels = page.locator(".panel")
    expect(panels).to_have_count(2)
    page.locator(".mantine-MultiSelect-pill", has_text="shapes-clean").locator("button").click()
    expect(panels).to_have_count(1)
    alone = "A comparison is of 2 to 6 models: choose another to stand beside shapes-shortcut."
    expect(page.locator(".stage > .sentence")).to_have_text(alone)
    expect(page).to_have_url(re.compile(r"model=shapes-shortcut(&|$)"))
    expect(page.locator("#compare-predictions")).to_contain_text("shapes-shortcut says disc")
    page.reload()
    expect(panels).to_have_count(1)
    pages = page.get_by_role("navigation", name="Pages")
    pages.get_by_role("link", name="Explain").click()
    expect(page.get_by_role("textbox", name="Model")).to_have_value("shapes-shortcut 1.0")
    pages.get_by_role("link", name="Compare").click()
    expect(panels).to_have_count(2)
    expect(panels.nth(0).get_by_role("heading")).to_contain_text("shapes-shortcut")


@pytest.mark.parametrize("models", [("shapes-clean", "nobody"), ("nobody", "shapes-clean")])
def test_a_model_that_cannot_answer_says_why_and_holds_up_no_other(
    page: Page, models: tuple[str, str]
) -> None:
    page.goto("/compare?" + "&".join(f"model={model}" for model in models))
    panels = page.locator(".panel")
    able, unable = map(models.index, ("shapes-clean", "nobody"))
    told = panels.nth(unable).get_by_role("alert")
    expect(told).to_contain_text("No model is registered as 'nobody'")
    expect(told.get_by_role("button", name="Retry")).to_be_visible()
    expect(panels.nth(able).locator(".sentence")).to_contain_text("of the evidence lies")
    expect(page.locator("#compare-predictions")).to_contain_text("shapes-clean says disc")
    expect(page.locator("#compare-saving")).to_contain_text("JSON")


def test_models_share_a_scale_once_all_have_come(page: Page) -> None:
    page.goto("/compare?method=grad_cam")
    panels = page.locator(".panel")
    expect(panels.nth(0).locator(BAR).first).to_be_attached()
    expect(panels.nth(1).locator(BAR).first).to_be_attached()
    apart = [panel.locator(BAR).all_text_contents() for panel in panels.all()]
    assert apart[0] != apart[1]
    page.get_by_role("link", name="one scale", exact=True).click()
    larger = max(apart, key=lambda ends: float(ends[-1]))
    for panel in panels.all():
        expect(panel.locator(BAR)).to_have_text(larger)
