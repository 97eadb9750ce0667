"""Cancel of a map that would take the worker an hour, and what it costs that maps come in parts."""

from __future__ import annotations

import statistics
import time
from typing import Any

from playwright.sync_api import Browser
from tests.bench.in_browser import chromium
from tests.bench.setting import ROOT, Setting
from tests.bench.table import Report, Row

from servelens.client import Server
from servelens.local import Dashboard, Model
from servelens_dashboard.lens import Lens
from servelens_dashboard.parts import asked_whole
from servelens_dashboard.scene import explain_request, set_scene
from servelens_dashboard.shelf import Shelf
from servelens_dashboard.url_state import Entry, Named, View

NAME = "stopping"
TITLE = "Cancel of an occlusion of 47,089 windows (resnet18), and what maps cost that come in parts"
MODEL = "resnet18"
SLOW = f"/?model={MODEL}&method=occlusion~stride=1~window=8"
IN_PARTS = ("integrated_gradients", "layer_conductance", "kernel_shap")
SAMPLES = ROOT / "archives" / "demo" / "samples"
PATIENCE_MS = 120_000
# A person waits a second or two.
MOST_MS = 2000.0


def run(setting: Setting) -> Report:
    setting.build(MODEL)
    work = setting.scratch / NAME
    work.mkdir(exist_ok=True)
    with setting.serving(Model(f"{MODEL}.mar", MODEL, workers=1)) as (server, client):
        with Dashboard(server, work, samples=SAMPLES) as dashboard, chromium() as browser:
            rows = _cancelling(setting, browser, dashboard.url, client)
        rows += [_in_parts(client, setting, name) for name in IN_PARTS]
    return Report(NAME, TITLE, rows)


def _cancelling(setting: Setting, browser: Browser, url: str, client: Server) -> list[Row]:
    """Each time at another moment of a part."""
    photo = (SAMPLES / "ring.png").read_bytes()
    told, free = [], []
    page = browser.new_page(base_url=url)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(SLOW)
    panel = page.locator(".panel")
    for click in range(setting.pairs(12)):
        cancel = panel.get_by_role("button", name="Cancel")
        cancel.wait_for()
        page.wait_for_timeout(2000 + 170 * click)
        begun = time.perf_counter()
        cancel.click()
        panel.get_by_text("stopped").wait_for()
        told.append(1000 * (time.perf_counter() - begun))
        client.predict(MODEL, photo)
        free.append(1000 * (time.perf_counter() - begun))
        panel.get_by_role("button", name="Go on").click()
    panel.get_by_role("button", name="Cancel").click()
    page.close()
    return [
        _longest("from Cancel until the page says that it is stopped", told),
        _longest("from Cancel until the worker has answered another", free),
    ]


def _in_parts(client: Server, setting: Setting, name: str) -> Row:
    """As a person gets it who waits to the end, against one answer for the whole."""
    lens = Lens(client, Shelf(setting.scratch / name, 0, 0, SAMPLES), 10**9)
    entry = Entry(name)
    scene = set_scene(View(models=(Named(MODEL),), methods=(entry,)), lens)
    photo, request = lens.shelf.get(scene.view.photo or ""), explain_request(scene, entry)
    client.predict(MODEL, photo)
    begun = time.perf_counter()
    found = asked_whole(lens, scene, entry).cost
    parts = time.perf_counter() - begun
    begun = time.perf_counter()
    whole: Any = client.ask(MODEL, photo, format="npz", **request)["cost"]
    alone = time.perf_counter() - begun
    return Row(
        f"{name} in parts, forward and backward passes",
        f"{found.forwards} and {found.backwards}",
        "told only",
        True,
        f"as a whole {whole['forwards']} and {whole['backwards']}; "
        f"once {parts:.1f} s against {alone:.1f} s",
    )


def _longest(what: str, times: list[float]) -> Row:
    longest, usual = max(times), statistics.median(times)
    detail = f"the longest of {len(times)} clicks, their median {usual:.0f} ms"
    return Row(what, f"{longest:.0f} ms", f"≤ {MOST_MS:.0f} ms", longest <= MOST_MS, detail)
