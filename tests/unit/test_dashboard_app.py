"""The app put together: without torch, with nothing from elsewhere, and each by itself."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from plotly.offline import get_plotlyjs_version

from servelens_dashboard.page import HERE, PLOTLY, RUNTIME

NOWHERE = "http://127.0.0.1:9"
PATIENCE_S = 30


class Visitor:
    """Asks a dashboard as a browser would."""

    def __init__(self, url: str, photos: Path) -> None:
        self.url = url
        self.photos = photos

    def get(self, path: str, headers: dict[str, str] | None = None) -> requests.Response:
        return requests.get(self.url + path, headers=headers, timeout=PATIENCE_S)

    def bring(self, photo: bytes, to: str = "/", **headers: str) -> requests.Response:
        url = f"{self.url}/photos"
        return requests.post(url, photo, params={"to": to}, headers=headers, timeout=PATIENCE_S)

    def touch(self, control: str, value: Any) -> dict[str, Any]:
        """What a control changes on the page Explain."""
        wired = self.get("/_dash-dependencies").json()
        (found,) = (one for one in wired if [of["id"] for of in one["inputs"]] == [control])
        outputs = [of.rpartition(".") for of in found["output"].strip(".").split("...")]
        asked = {
            "output": found["output"],
            "outputs": [{"id": name, "property": of} for name, _, of in outputs],
            "inputs": [{**found["inputs"][0], "value": value}],
            "changedPropIds": [f"{control}.value"],
            "state": [
                {"id": "url", "property": "pathname", "value": "/explain"},
                {"id": "url", "property": "search", "value": ""},
            ],
        }
        told = requests.post(f"{self.url}/_dash-update-component", json=asked, timeout=PATIENCE_S)
        changed: dict[str, Any] = told.json()["response"]
        return changed


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Of the command itself, whose server does not answer."""
    work = tmp_path_factory.mktemp("work")
    command = [sys.executable, "-m", "servelens_dashboard", "--port", "0"]
    kept = ["--photos", work / "photos", "--files", work / "files", "--file-gigabytes", "0.002"]
    where = ["--inference", NOWHERE, "--management", NOWHERE, "--store", work, *kept]
    with subprocess.Popen([*command, *where], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        ready = re.fullmatch(r"ready (http://127\.0\.0\.1:\d+)\n", running.stdout.readline())
        assert ready
        yield Visitor(ready[1], work / "photos")
        running.terminate()


@pytest.mark.slow
def test_it_starts_without_torch() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'torchvision', 'captum', 'ts')));"
        "import servelens_dashboard.app"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("page", ["/", "/models", "/explore", "/whatever"])
def test_every_page_comes_with_its_assets_and_none_from_elsewhere(
    visitor: Visitor, page: str
) -> None:
    told = visitor.get(page)
    assert told.status_code == 200
    loaded = re.findall(r'<(?:script|link)[^>]*(?:src|href)="([^"]+)"', told.text)
    assert any("look.css" in source for source in loaded)
    assert any("heat.js" in source for source in loaded)
    for source in loaded:
        assert source.startswith(("/", "data:image/svg+xml,")), source
        assert not source.startswith("//"), source
    assert "plotly" in visitor.get(PLOTLY).text[:500].lower() and PLOTLY in loaded
    assert "regeneratorRuntime" in visitor.get(RUNTIME).text and loaded.count(RUNTIME) == 1
    assert not [source for source in loaded if "polyfill" in source]
    style = next(source for source in loaded if "look.css" in source)
    assert "var(--accent)" in visitor.get(style).text


def told_of_what_is_not_ours() -> str:
    return (HERE / PLOTLY.lstrip("/")).with_name("README.md").read_text()


@pytest.mark.parametrize("vendored", [PLOTLY, RUNTIME])
def test_what_is_vendored_is_what_its_makers_publish(vendored: str) -> None:
    script = (HERE / vendored.lstrip("/")).read_bytes()
    assert f"SHA-256 {hashlib.sha256(script).hexdigest()}" in told_of_what_is_not_ours()


def test_the_vendored_plotly_is_the_one_that_figures_are_made_for() -> None:
    script = (HERE / PLOTLY.lstrip("/")).read_bytes()
    assert f"plotly.js (cartesian - minified) v{get_plotlyjs_version()}" in script[:200].decode()
    assert f"Plotly.js {get_plotlyjs_version()} " in told_of_what_is_not_ours()


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/_mcp"])
def test_nothing_is_served_that_nobody_asked_for(visitor: Visitor, path: str) -> None:
    """Each would be a page of FastAPI's or Dash's own; here it is as any address that is none."""
    assert "react-entry-point" in visitor.get(path).text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "export/exe/explain?part=grad_cam",
            "Nothing is saved as 'exe'; there are html, npz, json.",
        ),
        ("export/npz/models", "The page models has nothing to save or to copy."),
        ("export/npz/nowhere", "There is no page 'nowhere'"),
        ("export/html/explain?class=x", "must be a number from 0 up"),
        ("export/json/explain?part=map", "did not answer"),
        ("export/json/explain?part=map", "Start TorchServe"),
        ("calls/perl/explain?part=grad_cam", "No call is told as 'perl'; there are curl, python."),
        ("calls/curl/models", "The page models has nothing to save or to copy."),
        ("calls/curl/explain?class=x", "must be a number from 0 up"),
        ("calls/python/explore?part=atlas", "did not answer"),
    ],
)
def test_what_cannot_be_saved_or_copied_says_so(visitor: Visitor, address: str, said: str) -> None:
    told = visitor.get(f"/{address}")
    assert (told.status_code, told.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert said in told.text
    assert "content-disposition" not in told.headers


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example:80"}]
)
def test_a_strangers_page_opens_no_websocket(visitor: Visitor, headers: dict[str, str]) -> None:
    wanted = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "c2VydmVsZW5zMTIzNDU2Nw==",
    }
    assert visitor.get("/_dash-ws", {**wanted, **headers}).status_code == 403


def test_photos_are_brought_and_given_within_bounds(visitor: Visitor, root: Path) -> None:
    sample = (root / "archives" / "demo" / "samples" / "ring.mask.png").read_bytes()
    name = visitor.bring(sample).json()["photo"]
    assert visitor.get(f"/photos/{name}").headers["content-type"] == "image/png"
    assert visitor.get(f"/photos/{name}/original").content == sample
    assert visitor.get(f"/photos/{'0' * 32}").status_code == 404
    assert "can be opened" in visitor.bring(b"no photo").json()["error"]
    assert "more than 20 MB" in visitor.bring(b"x" * 20_000_001).json()["error"]
    assert visitor.bring(sample, origin="http://evil.example").status_code == 403


def test_a_photo_that_cannot_be_kept_is_told(visitor: Visitor, root: Path) -> None:
    sample = (root / "archives" / "demo" / "samples" / "cross.png").read_bytes()
    away = visitor.photos.rename(visitor.photos.with_name("away"))
    told = visitor.bring(sample)
    away.rename(visitor.photos)
    assert told.status_code == 400
    assert told.json()["error"].startswith("The photo could not be kept: No such file")
    assert "photo" in visitor.bring(sample).json()


def test_why_nothing_comes_of_a_touch_is_told_until_the_next_one(visitor: Visitor) -> None:
    told = visitor.touch("add-method", "grad_cam")
    assert "did not answer" in told["working"]["children"]
    assert "Start TorchServe" in told["working"]["children"]
    assert "url" not in told
    assert visitor.touch("scale", "layer") == {
        "working": {"children": ""},
        "url": {"search": "?scale=layer"},
    }


def test_a_photo_is_brought_to_a_page_whose_classes_were_another_photos(
    visitor: Visitor, root: Path
) -> None:
    sample = (root / "archives" / "demo" / "samples" / "ring.png").read_bytes()
    told = visitor.bring(sample, "/compare?model=a&class=2&versus=1&method=grad_cam").json()
    assert told["search"] == f"?model=a&photo={told['photo']}&method=grad_cam"
    assert visitor.bring(sample).json()["search"] == f"?photo={told['photo']}"
    lost = visitor.bring(sample, "/nowhere")
    assert (lost.status_code, lost.json()["error"][:26]) == (400, "There is no page 'nowhere'")


def test_files_are_brought_within_bounds(visitor: Visitor) -> None:
    def bring(name: str, content: bytes, **headers: str) -> requests.Response:
        url = f"{visitor.url}/files"
        return requests.post(url, content, params={"name": name}, headers=headers, timeout=30)

    terms = visitor.get("/files").json()
    assert terms["most_bytes"] == 2_000_000 and ".pth" in terms["suffixes"]
    name = bring("twin.mar", b"x" * 2_000_000).json()["file"]
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert bring("again.mar", b"x" * 2_000_000).json()["file"] == name
    assert "has more than 0.002 GB" in bring("b.mar", b"y" * 2_000_001).json()["error"]
    assert "is none of .pt, .pth" in bring("net.py", b"x").json()["error"]
    assert "is empty" in bring("c.mar", b"").json()["error"]
    assert bring("d.mar", b"z", origin="http://evil.example").status_code == 403
