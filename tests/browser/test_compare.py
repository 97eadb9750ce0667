"""Several models beside each other: each comes by itself, can be stopped, and fails alone."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from browser_fixtures.pages import QUESTIONS, asked_from_now_on
from playwright.sync_api import Locator, Page, Route, expect

BAR = ".infolayer .colorbar text"
THE_SECOND = {"panel": "shapes-shortcut", "part": "answered"}
STEPS = ("stem", "stage1", "stage2", "stage3")


def rows_of(page: Page) -> list[Locator]:
    """Of maps at matching depth, a row a model."""
    rows = page.locator(".steps > section")
    expect(rows).to_have_count(2)
    return rows.all()


def drawn(row: Locator) -> dict[str, Any]:
    """Where the middle of each layer's words is, and the picture of the maps."""
    picture = row.locator(".layer-subplot image")
    expect(picture).to_be_attached()
    expect(row.locator(".annotation-text")).to_have_count(len(STEPS))
    places = row.locator(".annotation-text").evaluate_all(
        """(words) => words.map((each) => {
          const { left, right } = each.getBoundingClientRect();
          return [each.querySelector("tspan").textContent, (left + right) / 2];
        })"""
    )
    return {"places": dict(places), "picture": picture.get_attribute("href")}


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
    rows = rows_of(page)
    expect(rows[unable].get_by_role("alert")).to_contain_text("No model is registered as 'nobody'")
    assert list(drawn(rows[able])["places"]) == list(STEPS)


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


def test_all_models_are_asked_for_the_method_and_the_class_that_are_chosen(page: Page) -> None:
    page.goto("/compare")
    panels = page.locator(".panel")
    for panel in panels.all():
        expect(panel.get_by_role("heading")).to_contain_text("Grad-CAM")
    page.get_by_role("textbox", name="Method").click()
    page.get_by_role("option", name="Integrated gradients", exact=True).click()
    expect(page).to_have_url(re.compile("method=integrated_gradients"))
    steps = page.get_by_role("textbox", name="steps")
    steps.fill("7")
    steps.blur()
    expect(page).to_have_url(re.compile("method=integrated_gradients~steps=7"))
    for panel in panels.all():
        expect(panel.get_by_role("heading")).to_contain_text("Integrated gradients")
        expect(panel).to_contain_text("and 7 backward passes")
    page.get_by_role("textbox", name="Class").click()
    page.get_by_role("option", name="square (2)").click()
    expect(page).to_have_url(re.compile("class=2"))
    for panel in panels.all():
        expect(panel.locator(".sentence")).to_have_text(re.compile("^square"))


def test_maps_stand_under_each_other_by_depth_and_are_of_the_photo(page: Page) -> None:
    page.goto("/compare?method=grad_cam")
    before = [drawn(row) for row in rows_of(page)]
    for one in before:
        assert list(one["places"]) == list(STEPS)
    for name, place in before[0]["places"].items():
        assert abs(before[1]["places"][name] - place) < 1
    assert before[0]["picture"] != before[1]["picture"]
    named = re.compile(r"shapes-clean: stem channel \d+, .*, stage3 channel \d+\.")
    expect(rows_of(page)[0].get_by_role("img", name=named)).to_be_visible()
    page.locator("#compare-steps summary", has_text="as numbers").click()
    cells = page.locator("#compare-steps tbody tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].slice(0, 3).map((cell) => cell.textContent))"
    )
    assert cells == [
        [model, str(column + 1), step]
        for model in ("shapes-clean", "shapes-shortcut")
        for column, step in enumerate(STEPS)
    ]
    page.get_by_role("link", name="square, marked").click()
    expect(page.locator("#compare-predictions")).to_contain_text("They disagree")
    for row, one in zip(rows_of(page), before, strict=True):
        expect(row.locator(".layer-subplot image")).not_to_have_attribute("href", one["picture"])


def test_maps_of_one_model_do_not_wait_for_those_of_another(page: Page) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        asked = json.loads(route.request.post_data or "{}")
        answered = asked.get("outputs")
        if isinstance(answered, dict) and answered["id"] == THE_SECOND:
            held.append(route)
        else:
            route.fallback()

    page.route(QUESTIONS, hold)
    page.goto("/compare?method=grad_cam")
    first, second = rows_of(page)
    drawn(first)
    expect(second).to_have_text("shapes-shortcuthas not answered yet")
    assert len(held) == 1
    held[0].continue_()
    drawn(second)
