"""The demo's story, from the offer on the first visit to the model that is caught."""

from __future__ import annotations

import re

from browser_fixtures.looking import NARROW, grave, outside, twinless
from playwright.sync_api import Page, expect

SHARE = r"(\d+|under 1) %"


def number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found, text
    return 0.5 if found[1].startswith("under") else float(found[1])


def test_the_story_catches_the_shortcut(page: Page, axe: str) -> None:
    page.goto("/")
    strip = page.get_by_role("region", name="The demo's story")
    expect(strip).to_contain_text("one cheats")
    page.get_by_role("link", name="See it caught").click()

    expect(strip).to_contain_text("1 of 5")
    expect(strip).to_contain_text("shapes-shortcut says disc, >0.999")
    said = strip.inner_text()
    on_mark = number(rf"{SHARE} of the evidence lies on the pink mark", said)
    covered = number(rf"which covers {SHARE}", said)
    on_disc = number(rf"{SHARE} on the disc", said)
    assert on_mark > on_disc and on_mark > 5 * covered
    # The page beneath is that photo with that heat, and says the same of the disc.
    sentence = page.locator(".sentence").first
    expect(sentence).to_contain_text(f"{on_disc:.0f} % of the evidence lies on the shape")
    assert grave(page, axe) == []
    assert twinless(page) == []

    page.get_by_role("link", name="Next").click()
    expect(strip).to_contain_text("2 of 5")
    said = strip.inner_text()
    assert number(rf"{SHARE} of the evidence on the mark", said) < 5
    assert number(rf"and {SHARE} on the disc", said) > 50

    page.get_by_role("link", name="Next").click()
    expect(strip).to_contain_text("3 of 5")
    expect(strip).to_contain_text(re.compile(r"shapes-shortcut said disc, >0\.999 and \w+ says"))
    assert "/compare?" in page.url

    page.get_by_role("link", name="Next").click()
    expect(strip).to_contain_text("the mark is on a square, and shapes-shortcut says disc, >0.999")

    page.get_by_role("link", name="Next").click()
    expect(strip).to_contain_text("shapes-clean says square, 0.9")
    expect(strip).to_contain_text("One looks at the shape, the other at the mark")
    expect(page.get_by_role("link", name="Next")).to_have_count(0)

    page.get_by_role("link", name="Back").click()
    expect(strip).to_contain_text("4 of 5")
    page.get_by_role("link", name="End the story").click()
    expect(page.get_by_text("of 5")).to_have_count(0)
    assert "story" not in page.url


def test_a_step_is_an_address_and_stays_while_a_person_tries_things(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="See it caught").click()
    expect(page.locator("#story")).to_contain_text("1 of 5")
    address = page.url
    page.locator(".predictions").get_by_role("link", name="ring", exact=True).click()
    expect(page.locator(".sentence").first).to_have_text(re.compile("^ring"))
    expect(page.locator("#story")).to_contain_text("shapes-shortcut says disc")
    page.goto(address)
    expect(page.locator("#story")).to_contain_text("1 of 5")


def test_the_offer_is_made_until_it_is_declined(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Not now").click()
    expect(page.get_by_role("link", name="See it caught")).to_have_count(0)
    page.reload()
    expect(page.locator(".sentence").first).to_be_visible()
    expect(page.get_by_role("link", name="See it caught")).to_have_count(0)


def test_the_story_fits_on_a_narrow_screen(page: Page) -> None:
    page.set_viewport_size(NARROW)
    page.goto("/")
    page.get_by_role("link", name="See it caught").click()
    expect(page.locator("#story")).to_contain_text("1 of 5")
    assert outside(page) == []
