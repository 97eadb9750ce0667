"""The dashboard over a real TorchServe with the demo's models, in a real Chromium.

The servers last for the session, and every test has a browser window of its own. Whatever a test
does, the console has no error and nothing leaves this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
from browser_fixtures.looking import WIDE
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from servelens.local import Dashboard, Model, TorchServe
from servelens_archives.builder import build
from servelens_archives.recipe import load_recipe

MODELS = ("shapes-clean", "shapes-shortcut")
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 30_000


def do_without(why: str) -> NoReturn:
    """Skips, but where all has to be seen to pass."""
    if os.environ.get("SERVELENS_SKIP_NOTHING"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    path = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        do_without("no Chromium: install the package chromium, or run scripts/test as root")
    return path


@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Browser]:
    """Anew for each module: while Playwright is there no test elsewhere can have an event loop."""
    with sync_playwright() as playwright:
        # Its sandbox needs what containers do not give, and it sees no page but ours.
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def store(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    recipes = [load_recipe(root / "archives" / "recipes" / f"{name}.toml") for name in MODELS]
    with ThreadPoolExecutor(len(recipes)) as builders:
        list(builders.map(lambda recipe: build(recipe, store), recipes))
    return store


@pytest.fixture(scope="session")
def torchserve(chromium_path: str, root: Path, store: Path) -> Iterator[TorchServe]:
    """After Chromium was found, for without it nothing need be started."""
    models = [Model(f"{name}.mar", name, workers=1) for name in MODELS]
    with TorchServe(store, models, config=root / "config.properties") as server:
        yield server


@pytest.fixture(scope="session")
def dashboard(
    root: Path, torchserve: TorchServe, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dashboard]:
    work = tmp_path_factory.mktemp("dashboard")
    samples = root / "archives" / "demo" / "samples"
    recipes = root / "archives" / "recipes"
    with Dashboard(torchserve, work, samples=samples, recipes=recipes) as running:
        yield running


@pytest.fixture
def window(chromium: Browser, dashboard: Dashboard) -> Iterator[BrowserContext]:
    """A visitor: what one keeps in a browser, no other sees."""
    context = chromium.new_context(base_url=dashboard.url, viewport=WIDE)
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def said(window: BrowserContext) -> list[str]:
    """What the console and the network had to complain of; a test may expect some of it."""
    return []


@pytest.fixture
def page(window: BrowserContext, dashboard: Dashboard, said: list[str]) -> Iterator[Page]:
    page = window.new_page()
    page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    outside: list[str] = []
    ours = (dashboard.url, dashboard.url.replace("http", "ws"), "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(ours) else outside.append(r.url))
    yield page
    assert not said
    assert not outside


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """axe-core's script, as tests/browser/package-lock.json has it."""
    npm = shutil.which("npm")
    if npm is None:
        do_without("no npm: axe-core, which finds what is not accessible, comes by it")
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(Path(__file__).parent / name, folder)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
