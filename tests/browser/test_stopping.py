"""What a person stops: it asks for no more, stays stopped, and goes on from there."""

from __future__ import annotations

import re

import pytest
from browser_fixtures.looking import grave
from browser_fixtures.pages import (
    LONG_WORK_MS,
    asked_from_now_on,
    going_on_held,
    sentence,
)
from playwright.sync_api import Locator, Page, expect

from servelens.local import TorchServe

SETTLED_MS = 2000
# A worker that was taken away is started anew, and loads its model.
NEW_WORKER_MS = 90_000
NOT_WAITED_FOR = "Not waited for. The worker finishes what it has begun"


def test_a_cancelled_occlusion_asks_for_no_more_and_goes_on_from_there(page: Page) -> None:
    panel = page.locator(".panel")
    bar = panel.get_by_role("progressbar")
    with going_on_held(page):
        page.goto("/?method=occlusion~stride=1~window=8")
        expect(bar).to_be_visible()
        panel.get_by_role("button", name="Cancel").click()
        expect(panel).to_contain_text("0 %, stopped")
        # Nothing is said of a map of which there is nothing yet.
        assert sentence(page).count() == 0
    asked = asked_from_now_on(page, "occlusion")
    page.wait_for_timeout(SETTLED_MS)
    assert not asked
    assert panel.locator(".body .saving").count() == 0
    assert panel.get_by_role("button", name="Check this map").count() == 0
    panel.get_by_role("button", name="Go on").click()
    expect(panel.locator(".body .saving")).to_be_visible(timeout=LONG_WORK_MS)
    expect(bar).to_have_count(0)
    expect(panel.get_by_role("button", name="Check this map")).to_be_visible()
    assert asked


@pytest.mark.parametrize(("shown", "size"), [("explain", 7), ("compare", 9)])
def test_what_was_stopped_stays_so_whatever_other_models_do(
    page: Page, torchserve: TorchServe, shown: str, size: int
) -> None:
    panel = page.locator(".panel")
    with going_on_held(page):
        page.goto(f"/{shown}?model=shapes-clean&method=occlusion~stride=1~window={size}")
        expect(panel.get_by_role("progressbar")).to_be_visible()
        panel.get_by_role("button", name="Cancel").click()
        expect(panel).to_contain_text(re.compile(r"\d+ %, stopped"))
    asked = asked_from_now_on(page, "panel")
    torchserve.client.scale("shapes-shortcut", 0)
    expect(page.locator("#health")).to_have_text("2 models, 1 without a worker")
    torchserve.client.scale("shapes-shortcut", 1)
    expect(page.locator("#health")).to_have_text("2 models", timeout=NEW_WORKER_MS)
    expect(panel).to_contain_text(re.compile(r"\d+ %, stopped"))
    assert not asked


def test_what_comes_as_a_whole_says_what_cancel_does(page: Page) -> None:
    panel = page.locator(".panel")
    with going_on_held(page):
        page.goto("/?method=var_grad~samples=200")
        expect(panel).to_contain_text("Cancel ends the wait, not the worker's work.")
        panel.get_by_role("button", name="Cancel").click()
        expect(panel).to_contain_text(NOT_WAITED_FOR)
    asked = asked_from_now_on(page, "var_grad")
    page.wait_for_timeout(SETTLED_MS)
    assert not asked
    panel.get_by_role("button", name="Go on").click()
    expect(sentence(page)).to_contain_text("of the evidence lies")


def test_a_card_that_is_not_waited_for_comes_when_a_person_goes_on(page: Page, axe: str) -> None:
    page.goto("/?method=occlusion~window=14")
    card = page.locator(".trust")
    check = card.get_by_role("button", name="Check this map")
    # A map that comes in parts goes on by the same clock.
    expect(check).to_be_visible()
    with going_on_held(page):
        check.click()
        expect(card).to_contain_text("The map is being checked")
        stopped_while_it_waits(card)
        assert grave(page, axe) == []
        with page.expect_response(lambda answer: "card" in (answer.request.post_data or "")):
            page.locator("#scheme").click()
        expect(card).to_contain_text(NOT_WAITED_FOR)
    asked = asked_from_now_on(page, "card")
    page.wait_for_timeout(SETTLED_MS)
    assert not asked
    card.get_by_role("button", name="Go on").click()
    expect(card.locator(".judgement")).to_contain_text("emoving what it marks")


def test_an_order_that_takes_passes_is_stopped_and_holds_up_nothing_else(
    page: Page, axe: str
) -> None:
    atlas = page.locator("#atlas")
    with going_on_held(page):
        page.goto("/explore?model=shapes-clean&layer=stage2&sort=ablation&class=2")
        expect(atlas).to_contain_text("The model is asked 32 times, each time without one channel.")
        expect(page.locator("#statistics")).to_contain_text("of 32")
        stopped_while_it_waits(atlas)
        assert grave(page, axe) == []
    asked = asked_from_now_on(page, "atlas")
    page.wait_for_timeout(SETTLED_MS)
    assert not asked
    atlas.get_by_role("button", name="Go on").click()
    expect(atlas).to_contain_text("32 channels of stage2, most missed by the class first")
    expect(atlas.locator(".layer-subplot image").first).to_be_attached()


def stopped_while_it_waits(place: Locator) -> None:
    expect(place.get_by_role("progressbar")).to_be_visible()
    expect(place).to_contain_text("Cancel ends the wait, not the worker's work.")
    place.get_by_role("button", name="Cancel").click()
    expect(place).to_contain_text(NOT_WAITED_FOR)
    expect(place.get_by_role("progressbar")).to_have_count(0)
