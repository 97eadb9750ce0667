"""The dashboard in a real Chromium over a real TorchServe: what a visitor waits for.

The browser's own clock is read wherever it can be. What a server takes for the same requests, asked
without a browser, is taken off where that is wanted.
"""

from __future__ import annotations

import base64
import contextlib
import io
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page
from tests.bench.in_browser import ATLAS, DRAGGED, DROPPED, LOADED, RECOLOURED, chromium
from tests.bench.setting import ROOT, Setting
from tests.bench.table import Report, Row

from servelens.local import Dashboard, Model, TorchServe
from servelens_dashboard.figures.atlas import Atlas, draw

NAME = "dashboard"
TITLE = "The dashboard in Chromium, over the demo's two models"
MODELS = ("shapes-clean", "shapes-shortcut")
PATIENCE_MS = 120_000
SIZE = {"width": 1280, "height": 860}
SESSIONS = 20
CHANNELS, SIDE = 512, 7
# Of sixty in a second, 16.7 ms each; the browser's clock tells them by tenths.
A_FRAME_MS = 16.8
SIXTY_HZ = "60 Hz: 16.7 ms a frame"
SAMPLES = ROOT / "archives" / "demo" / "samples"


@dataclass(frozen=True)
class Stage:
    """All that a measurement needs."""

    setting: Setting
    server: TorchServe
    dashboard: Dashboard
    browser: Browser

    def times(self, count: int) -> int:
        return max(3, round(count * self.setting.scale))

    @contextlib.contextmanager
    def page(self, said: list[str] | None = None) -> Iterator[Page]:
        context = self.browser.new_context(base_url=self.dashboard.url, viewport=SIZE)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        if said is not None:
            page.on("console", lambda line: said.append(line.text) if line.type == "error" else 0)
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("requestfailed", lambda request: said.append(f"failed: {request.url}"))
        yield page
        context.close()


def run(setting: Setting) -> Report:
    rows: list[Row] = []
    with _stage(setting) as stage:
        for measure in (_opening, _dropping, _atlas, _recolouring, _sessions):
            rows += measure(stage)
    return Report(NAME, TITLE, rows)


@contextlib.contextmanager
def _stage(setting: Setting) -> Iterator[Stage]:
    for name in MODELS:
        setting.trained(name)
    work = setting.scratch / "dashboard"
    work.mkdir(exist_ok=True)
    models = [Model(f"{name}.mar", name, workers=1) for name in MODELS]
    with (
        TorchServe(
            setting.scratch / "trained", models, config=ROOT / "config.properties"
        ) as server,
        Dashboard(server, work, samples=SAMPLES) as dashboard,
        chromium() as browser,
    ):
        yield Stage(setting, server, dashboard, browser)


def _opening(stage: Stage) -> list[Row]:
    found = []
    for _ in range(stage.times(12) + 1):
        with stage.page() as page:
            page.goto("/")
            found.append(page.evaluate(LOADED))
    painted, ready = zip(*found[1:], strict=True)
    how = f"median of {len(painted)} windows with empty caches, {{}}"
    return [
        _row("first paint", painted, 1500, how.format(_spread(painted))),
        _row("a map and predictions are there", ready, 3000, how.format(_spread(ready))),
    ]


def _dropping(stage: Stage) -> list[Row]:
    """Each time another photo, so that nothing of it is in a cache."""
    taken, own = [], []
    ask = stage.server.client.explain
    with stage.page() as page:
        page.goto("/")
        page.evaluate(LOADED)
        for number in range(stage.times(15)):
            own.append(_ms(lambda n=number: ask(MODELS[0], _photo(n, 1), "grad_cam", top_k=5)))
            text = base64.b64encode(_photo(number, 0)).decode("ascii")
            taken.append(page.evaluate(DROPPED, [text]))
            _settle(page)
    beyond = [mine - servers for mine, servers in zip(taken, own, strict=True)]
    detail = (
        f"{statistics.median(taken):.0f} ms in all, the server's own {statistics.median(own):.0f} "
        f"ms; {len(beyond)} drops, {_spread(beyond)}"
    )
    return [_row("drop to predictions and a map, beyond the server's time", beyond, 300, detail)]


def _atlas(stage: Stage) -> list[Row]:
    maps = np.random.default_rng(0).gamma(1.0, size=(CHANNELS, SIDE, SIDE)).astype(np.float32)
    text = draw(Atlas.of(maps)).to_json()
    with stage.page() as page:
        page.goto("/")
        page.evaluate(LOADED)
        times = [page.evaluate(ATLAS, [text]) for _ in range(stage.times(12) + 1)][1:]
    size = len(text) / 1000
    return [
        _row(f"{CHANNELS} channels of {SIDE} × {SIDE} drawn", times, 300, _spread(times)),
        Row("their bytes in the browser", f"{size:.0f} kB", "≤ 400 kB", size <= 400, "as JSON"),
    ]


def _recolouring(stage: Stage) -> list[Row]:
    opacities = [round(0.3 + 0.01 * step, 2) for step in range(stage.times(40))]
    colours = [("magma", "viridis", "cividis")[step % 3] for step in range(stage.times(40))]
    rows = []
    with stage.page() as page:
        page.goto("/")
        page.evaluate(LOADED)
        _settle(page)
        for name, values in (("opacity", opacities), ("colours", colours)):
            times = page.evaluate(RECOLOURED, [name, values])
            detail = f"from the control to the picture, {len(times)} changes, {_spread(times)}"
            rows.append(_row(f"{name} changed", times, 16, detail))
        times = page.evaluate(DRAGGED, ["opacity", opacities])
        detail = f"{len(times)} frames with a change in each, {_spread(times)}"
        rows.append(_row("a frame while opacity is moved", times, A_FRAME_MS, detail, SIXTY_HZ))
    return rows


def _sessions(stage: Stage) -> list[Row]:
    """All at once, each with a view of its own, and none is told of another's."""
    said: list[str] = []
    begun = time.perf_counter()
    with contextlib.ExitStack() as stack:
        pages = [stack.enter_context(stage.page(said)) for _ in range(SESSIONS)]
        wanted = [(MODELS[number % 2], number % 5) for number in range(SESSIONS)]
        for page, (model, target) in zip(pages, wanted, strict=True):
            page.goto(f"/?model={model}&class={target}", wait_until="commit")
        for page in pages:
            page.evaluate(LOADED)
        taken = time.perf_counter() - begun
        for page, (_, target) in zip(pages, wanted, strict=True):
            if f"class={target}" not in page.url:
                said.append(f"{page.url} is another's")
            said += [alert.inner_text() for alert in page.get_by_role("alert").all()]
    detail = f"all had their maps after {taken:.0f} s, on one browser; {'; '.join(said[:3])}"
    return [Row(f"errors of {SESSIONS} sessions at once", str(len(said)), "0", not said, detail)]


def _settle(page: Page) -> None:
    """What is asked for after the map has come too, so that the next has the worker to itself."""
    page.wait_for_timeout(500)
    page.wait_for_selector("[data-dash-is-loading=true]", state="detached")
    page.wait_for_timeout(500)


def _row(what: str, times: Any, most_ms: float, detail: str, target: str = "") -> Row:
    found = statistics.median(times)
    digits = 0 if found >= 100 else 1
    wanted = target or f"≤ {most_ms} ms"
    return Row(what, f"{found:.{digits}f} ms", wanted, found <= most_ms, detail)


def _spread(times: Any) -> str:
    low, _, high = statistics.quantiles(times, n=4)
    return f"middle half {low:.0f}–{high:.0f} ms"


def _ms(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def _photo(number: int, kind: int) -> bytes:
    """A sample with a pixel of its own."""
    with Image.open(SAMPLES / "ring.png") as sample:
        picture = sample.convert("RGB")
    picture.putpixel((number, kind), (number, 255 * kind, 0))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
