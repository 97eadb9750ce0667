"""What goes wrong on the way, and is over without a reload."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from browser_fixtures.pages import (
    LONG_WORK_MS,
    drop,
    explained,
    never_seen,
    sentence,
    without_pulse,
)
from playwright.sync_api import Page, expect

from servelens.local import Model, TorchServe

# A worker that was killed is started anew after a pause, and loads its model.
NEW_WORKER_MS = 90_000


@pytest.fixture
def pulseless(page: Page) -> None:
    """From its first moment: a change of the server, noticed late, would draw the page anew."""
    without_pulse(page)


@pytest.fixture
def unbroken(page: Page, root: Path) -> Iterator[Page]:
    """A page that is the same one at the end: nobody has loaded it anew.

    The dashboard remembers what it was answered, but nothing about this photo.
    """
    page.goto("/")
    explained(page)
    drop(page, never_seen(root / "archives" / "demo" / "samples" / "disc-unmarked.png"))
    expect(page).to_have_url(re.compile("photo="))
    of_this_photo = f"a[href*='{parse_qs(urlsplit(page.url).query)['photo'][0]}']"
    expect(page.locator(".predictions").locator(of_this_photo).first).to_be_visible()
    explained(page)
    page.evaluate("window.sameAsBefore = true")
    yield page
    assert page.evaluate("window.sameAsBefore === true")


def explain(page: Page, label: str) -> None:
    page.locator(".predictions").get_by_role("link", name=label, exact=True).click()


def test_a_killed_worker_is_recovered_from(unbroken: Page, torchserve: TorchServe) -> None:
    (worker,) = torchserve.client.describe("shapes-clean").workers
    os.kill(worker.pid, signal.SIGKILL)
    explain(unbroken, "triangle")
    expect(sentence(unbroken)).to_have_text(re.compile("^triangle"), timeout=NEW_WORKER_MS)
    explain(unbroken, "cross")
    expect(sentence(unbroken)).to_have_text(re.compile("^cross"), timeout=NEW_WORKER_MS)
    (other,) = torchserve.client.describe("shapes-clean").workers
    assert other.pid != worker.pid


def test_a_server_that_hangs_is_told_and_is_there_again(
    unbroken: Page, torchserve: TorchServe
) -> None:
    """It takes connections, and answers none: nothing is refused that could be told at once."""
    health, front_end = unbroken.locator("#health"), torchserve.front_end.process.pid
    os.kill(front_end, signal.SIGSTOP)
    try:
        expect(health).to_have_text("TorchServe does not answer", timeout=LONG_WORK_MS)
        told = unbroken.get_by_role("alert").first
        expect(told).to_contain_text("did not answer within 15 s", timeout=LONG_WORK_MS)
    finally:
        os.kill(front_end, signal.SIGCONT)
    expect(health).to_have_text("2 models", timeout=LONG_WORK_MS)
    explain(unbroken, "cross")
    expect(sentence(unbroken)).to_have_text(re.compile("^cross"), timeout=LONG_WORK_MS)


def test_a_model_without_workers_says_so_until_it_has_some(
    unbroken: Page, torchserve: TorchServe
) -> None:
    torchserve.client.scale("shapes-clean", 0)
    expect(unbroken.get_by_role("alert").first).to_contain_text("has no worker that is ready")
    expect(unbroken.locator("#health")).to_have_text("2 models, 1 without a worker")
    torchserve.client.scale("shapes-clean", 1)
    expect(sentence(unbroken)).to_contain_text("of the evidence lies", timeout=NEW_WORKER_MS)
    expect(unbroken.locator("#health")).to_have_text("2 models")


def test_an_unregistered_model_is_told_and_is_there_again(
    page: Page, torchserve: TorchServe
) -> None:
    passing = Model("shapes-shortcut.mar", "passing", workers=1)
    torchserve.register(passing)
    page.goto("/?model=passing")
    expect(sentence(page)).to_contain_text("of the evidence lies")
    torchserve.client.unregister("passing")
    told = page.get_by_role("alert").first
    expect(told).to_contain_text("No model is registered as 'passing'")
    expect(told).to_contain_text("shapes-clean")
    torchserve.register(passing)
    expect(sentence(page)).to_contain_text("of the evidence lies")
    torchserve.client.unregister("passing")


@contextmanager
def key_run_out(torchserve: TorchServe) -> Iterator[None]:
    """One that has run out is refused by the same words as one that was never given."""
    file = torchserve.key_file
    assert file is not None
    keys = json.loads(file.read_text())
    file.write_text(json.dumps({**keys, "inference": {**keys["inference"], "key": "runout1"}}))
    try:
        yield
    finally:
        torchserve.client.renew_key("inference")


@pytest.mark.usefixtures("pulseless")
def test_a_key_that_opens_nothing_is_told_and_a_new_one_taken(
    unbroken: Page, torchserve: TorchServe
) -> None:
    told = unbroken.locator(".panel").get_by_role("alert")
    # The last that is asked for about the photo is the trust card, which could be refused as well.
    expect(unbroken.locator(".judgement")).to_be_visible()
    with key_run_out(torchserve):
        explain(unbroken, "triangle")
        expect(told).to_contain_text("Its keys have run out")
    told.get_by_role("button", name="Retry").click()
    expect(sentence(unbroken)).to_have_text(re.compile("^triangle"))
    predictions = unbroken.locator("#predictions")
    predictions.get_by_role("alert").get_by_role("button", name="Retry").click()
    expect(predictions.get_by_role("link", name="disc", exact=True)).to_be_visible()
    expect(sentence(unbroken)).to_have_text(re.compile("^triangle"))


@pytest.mark.usefixtures("pulseless")
def test_one_retry_is_for_all_of_a_page_that_has_failed(
    page: Page, torchserve: TorchServe, root: Path
) -> None:
    page.goto("/explore")
    expect(page.locator("#atlas .layer-subplot image").first).to_be_attached()
    told = page.get_by_role("alert")
    with key_run_out(torchserve):
        drop(page, never_seen(root / "archives" / "demo" / "samples" / "ring.png"))
        for part in ("predictions", "atlas", "statistics", "journey"):
            expect(page.locator(f"#{part}").get_by_role("alert")).to_be_visible()
    told.first.get_by_role("button", name="Retry").click()
    expect(told).to_have_count(0)
    expect(page.locator("#atlas .layer-subplot image").first).to_be_attached()
    expect(page.locator("#predictions")).to_contain_text("ring")
