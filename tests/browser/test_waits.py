"""What a page shows while an answer is awaited, and that it shows no such thing without one."""

from __future__ import annotations

import json

from browser_fixtures.pages import QUESTIONS, explained
from playwright.sync_api import Page, Response, Route, expect

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


def test_where_nothing_stands_yet_a_wait_can_be_seen(page: Page) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        output = json.loads(route.request.post_data or "{}").get("output", "")
        if "page.children" in output:
            held.append(route)
        else:
            route.fallback()

    page.route(QUESTIONS, hold)
    page.goto("/")
    page.wait_for_function(SEEN, arg="#page")
    for route in held:
        route.continue_()
    page.unroute(QUESTIONS, hold)
    explained(page)
