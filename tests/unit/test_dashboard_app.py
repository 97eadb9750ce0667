"""The app put together: without torch, with nothing from elsewhere, and each by itself."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from servelens_dashboard.app import PLOTLY

NOWHERE = "http://127.0.0.1:9"
PATIENCE_S = 30


class Visitor:
    """Asks a dashboard as a browser would."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str, headers: dict[str, str] | None = None) -> requests.Response:
        return requests.get(self._url + path, headers=headers, timeout=PATIENCE_S)

    def bring(self, photo: bytes, **headers: str) -> requests.Response:
        return requests.post(f"{self._url}/photos", data=photo, headers=headers, timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Of the command itself, whose server does not answer."""
    photos = tmp_path_factory.mktemp("photos")
    command = [sys.executable, "-m", "servelens_dashboard", "--port", "0"]
    where = ["--inference", NOWHERE, "--management", NOWHERE, "--photos", photos]
    with subprocess.Popen([*command, *where], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        ready = re.fullmatch(r"ready (http://127\.0\.0\.1:\d+)\n", running.stdout.readline())
        assert ready
        yield Visitor(ready[1])
        running.terminate()


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
        assert source.startswith("/"), source
        assert not source.startswith("//"), source
    assert "plotly" in visitor.get(PLOTLY).text[:500].lower() and PLOTLY in loaded
    style = next(source for source in loaded if "look.css" in source)
    assert "var(--accent)" in visitor.get(style).text


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/_mcp"])
def test_nothing_is_served_that_nobody_asked_for(visitor: Visitor, path: str) -> None:
    """Each would be a page of FastAPI's or Dash's own; here it is as any address that is none."""
    assert "react-entry-point" in visitor.get(path).text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("exe/explain?part=grad_cam", "Nothing is saved as 'exe'; there are html, npz, json."),
        ("npz/models", "The page models has nothing to save."),
        ("npz/nowhere", "There is no page 'nowhere'"),
        ("html/explain?class=x", "must be a number from 0 up"),
        ("json/explain?part=grad_cam", "did not answer"),
    ],
)
def test_what_cannot_be_saved_says_so(visitor: Visitor, address: str, said: str) -> None:
    told = visitor.get(f"/export/{address}")
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
