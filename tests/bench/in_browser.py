"""A browser, and what it is told to do and to measure by its own clock."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

# Since the page was asked for: the first paint, and when a map was there beside the predictions.
LOADED = """() => new Promise((done) => {
  const look = () => {
    const ready = document.querySelector(".layer-above image")
      && document.querySelector(".predictions") && document.querySelector("#health .dot");
    if (!ready) return requestAnimationFrame(look);
    const [paint] = performance.getEntriesByName("first-contentful-paint");
    done([paint.startTime, performance.now()]);
  };
  look();
})"""

# From the drop to another map and the predictions beside it.
DROPPED = """([text]) => new Promise((done) => {
  const heat = () => document.querySelector(".layer-above image");
  const before = heat().getAttribute("href");
  const table = document.querySelector(".predictions");
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], "photo", { type: "image/png" }));
  const begun = performance.now();
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: files, cancelable: true }));
  const look = () => {
    const now = document.querySelector(".predictions");
    const other = heat() && heat().getAttribute("href") !== before && now && now !== table;
    if (!other) return requestAnimationFrame(look);
    done(performance.now() - begun);
  };
  look();
})"""

# From a changed control to the other colours in the picture that is seen.
RECOLOURED = """([name, values]) => (async () => {
  const image = document.querySelector(".layer-above image");
  const control = document.getElementById(name);
  const times = [];
  for (const value of values) {
    await new Promise((next) => requestAnimationFrame(next));
    const begun = performance.now();
    await new Promise((done) => {
      const watch = new MutationObserver(() => { watch.disconnect(); done(); });
      watch.observe(image, { attributes: true });
      control.value = value;
      control.dispatchEvent(new Event("input", { bubbles: true }));
    });
    times.push(performance.now() - begun);
  }
  return times;
})()"""

# From frame to frame, with a change in each.
DRAGGED = """([name, values]) => (async () => {
  const control = document.getElementById(name);
  const frame = () => new Promise((next) => requestAnimationFrame(next));
  let before = await frame();
  const times = [];
  for (const value of values) {
    control.value = value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
    const now = await frame();
    times.push(now - before);
    before = now;
  }
  return times;
})()"""

ATLAS = """([text]) => (async () => {
  const place = document.createElement("div");
  document.body.append(place);
  const begun = performance.now();
  await window.Plotly.newPlot(place, JSON.parse(text));
  const taken = performance.now() - begun;
  place.remove();
  return taken;
})()"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
