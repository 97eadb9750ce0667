"""What a page shows while an answer is awaited, and that it shows no such thing without one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from browser_fixtures.looking import NARROW, WIDE, grave, outside
from browser_fixtures.pages import QUESTIONS, explained, held
from playwright.sync_api import Page, Response, expect

from servelens.local import TorchServe

TABLE = "models-table.children"
# From now on, all that the status of a page says.
LISTEN = """() => {
  const place = document.querySelector("#working");
  window.heard = [];
  new MutationObserver(() => window.heard.push(place.textContent))
    .observe(place, { childList: true, characterData: true, subtree: true });
}"""
SEEN = """(name) => {
  const mark = getComputedStyle(document.querySelector(name), "::after");
  return mark.content.includes("Waiting") && mark.visibility === "visible";
}"""
# As WCAG has it, of the mark on the page's paper: axe-core does not read what a style writes.
CONTRAST = """(name) => {
  const level = (share) => share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  const light = (colour) => {
    const [red, green, blue] = colour.match(/[\\d.]+/g).map((part) => level(part / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ink = light(getComputedStyle(document.querySelector(name), "::after").color);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}"""
READABLE = 4.5


def left_as_it_is(answer: Response) -> bool:
    """The table of models was looked at, and is as it was."""
    asked = json.loads(answer.request.post_data or "{}") if QUESTIONS.search(answer.url) else {}
    return bool(asked.get("output") == TABLE and answer.status == 204)


def test_the_table_of_models_changes_with_them_alone_and_nothing_is_awaited(
    page: Page, torchserve: TorchServe
) -> None:
    page.goto("/models")
    row = page.locator("#models-table tr").filter(has_text="shapes-shortcut")
    expect(row).to_contain_text("1.0 default")
    page.evaluate(LISTEN)
    for _ in range(2):
        with page.expect_response(left_as_it_is):
            pass
    torchserve.client.scale("shapes-shortcut", 2)
    expect(row).to_contain_text("− 2 +")
    torchserve.client.scale("shapes-shortcut", 1)
    expect(row).to_contain_text("− 1 +")
    with page.expect_response(left_as_it_is):
        pass
    assert page.evaluate("window.heard") == []
    row.get_by_role("button", name="One worker more").click()
    expect(row).to_contain_text("− 2 +")
    assert page.evaluate("window.heard")[0].startswith("Working on it")
    row.get_by_role("button", name="One worker fewer").click()
    expect(row).to_contain_text("− 1 +")
    expect(page.locator("#working")).to_be_empty()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_where_nothing_stands_yet_a_wait_can_be_seen_and_read(
    page: Page, axe: str, scheme: Any, size: Any
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(size)
    with held(page, lambda asked: "page.children" in asked.get("output", "")):
        page.goto("/")
        expect(page.locator("#page")).to_be_attached()
        page.wait_for_function(SEEN, arg="#page")
        assert grave(page, axe) == []
        assert outside(page) == []
        assert page.evaluate(CONTRAST, "#page") >= READABLE
    explained(page)
