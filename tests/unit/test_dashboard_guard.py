"""Who may talk to the dashboard, over HTTP and WebSockets; and with which settings it starts."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import Any

import pytest

from servelens_dashboard.guard import Guard
from servelens_dashboard.settings import BadSettings, Settings, read_settings


async def _hello(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def call(
    settings: Settings, kind: str = "http", path: str = "/", method: str = "GET", **headers: str
) -> list[dict[str, Any]]:
    """What a browser with these headers is sent."""
    sent: list[dict[str, Any]] = []
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "method": method, "path": path, "headers": named}

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    asyncio.run(Guard(_hello, settings, ["'sha256-x'"])(scope, receive, send))  # type: ignore[arg-type]
    return sent


@pytest.mark.parametrize("host", ["127.0.0.1:8050", "localhost", "LOCALHOST:1", "[::1]:8050"])
def test_loopback_is_known_by_its_names(host: str) -> None:
    assert call(Settings(), host=host)[0]["status"] == 200
    same = {"host": host, "origin": f"http://{host}"}
    assert call(Settings(), **same)[0]["status"] == 200
    assert call(Settings(), "websocket", **same)[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:8050"},
        {"host": "evil.example:8050", "origin": "http://evil.example:8050"},
        {"host": "127.0.0.1:8050", "origin": "http://evil.example"},
        {"host": "127.0.0.1:8050", "origin": "http://127.0.0.1:9999"},
        {"host": "127.0.0.1:8050", "origin": "null"},
    ],
)
def test_others_are_refused(headers: dict[str, str]) -> None:
    assert call(Settings(), **headers)[0]["status"] == 403
    assert call(Settings(), "websocket", **headers)[0]["type"] == "websocket.close"


LINK = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
PICTURE = {"sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}
FRAME = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}
DOORS = (
    "/export/npz/explain",
    "/calls/curl/explore",
    "/photos/0123",
    "/files",
    "/_dash-layout",
    "/explain/../export/x",
)


def status(path: str, **headers: str) -> int:
    told: int = call(Settings(), path=path, host="localhost:8050", **headers)[0]["status"]
    return told


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_may_lead_to_a_page_and_ask_for_nothing(site: str) -> None:
    """A plain GET of a stranger's page has a known Host and no Origin."""
    for path in ("/", "/explain", "/explore", "/compare", "/models"):
        assert status(path, sec_fetch_site=site, **LINK) == 200
        assert status(path, sec_fetch_site=site, **PICTURE) == 403
        assert status(path, sec_fetch_site=site, **FRAME) == 403
        assert status(path, sec_fetch_site=site, method="POST", **LINK) == 403
    for path in DOORS:
        assert status(path, sec_fetch_site=site, **LINK) == 403
        assert status(path, sec_fetch_site=site) == 403


@pytest.mark.parametrize("headers", [{}, {"sec_fetch_site": "none"}])
def test_our_own_pages_and_who_types_an_address_reach_all(headers: dict[str, str]) -> None:
    for path in DOORS:
        assert status(path, **headers) == 200
        assert status(path, sec_fetch_site="same-origin", **PICTURE) == 200


def test_a_name_can_be_allowed() -> None:
    settings = Settings(hosts=("lens.example",))
    assert call(settings, host="lens.example:443")[0]["status"] == 200


def test_pages_may_load_nothing_from_elsewhere() -> None:
    headers = dict(call(Settings(), host="localhost")[0]["headers"])
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "script-src 'self' 'sha256-x'" in policy
    assert "http" not in policy
    assert "unsafe-eval" not in policy


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("", 401),
        ("Basic", 401),
        ("Basic !", 401),
        ("Bearer " + base64.b64encode(b"any:secret").decode(), 401),
        ("Basic " + base64.b64encode(b"any:wrong").decode(), 401),
        ("Basic " + base64.b64encode(b"any:secret").decode(), 200),
    ],
)
def test_a_password_is_asked_for(given: str, status: int) -> None:
    settings = Settings(password="secret")
    assert call(settings, host="localhost", authorization=given)[0]["status"] == status


def test_beyond_loopback_it_starts_with_a_password_only() -> None:
    with pytest.raises(BadSettings, match="set a password in SERVELENS_DASHBOARD_PASSWORD"):
        read_settings(["--host", "0.0.0.0"], {})
    settings = read_settings(["--host", "0.0.0.0"], {"SERVELENS_DASHBOARD_PASSWORD": "x"})
    assert settings.password == "x"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_an_empty_password_is_none(host: str) -> None:
    """A variable that was to be filled, and was not, leaves no door open."""
    with pytest.raises(BadSettings, match="SERVELENS_DASHBOARD_PASSWORD is empty.*unset"):
        read_settings(["--host", host], {"SERVELENS_DASHBOARD_PASSWORD": ""})


def test_settings_are_read_from_the_command_line(tmp_path: Path) -> None:
    settings = read_settings(
        [
            "--inference",
            "http://127.0.0.1:1",
            "--port",
            "0",
            "--allow-host",
            "a",
            "--allow-host",
            "b",
        ],
        {},
    )
    assert (settings.inference, settings.port, settings.hosts) == (
        "http://127.0.0.1:1",
        0,
        ("a", "b"),
    )
    with pytest.raises(BadSettings, match="given as --samples, is no folder"):
        read_settings(["--samples", str(tmp_path / "nowhere")], {})


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="users have numbers on Unix alone")
@pytest.mark.parametrize("name", ["photos", "files"])
def test_nothing_is_kept_where_somebody_else_was_first(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kept"
    monkeypatch.setattr(Settings, name, folder)
    assert Settings(**{name: folder})
    folder.mkdir()
    assert Settings(**{name: folder})
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(BadSettings, match=f"belongs to somebody else, .*with --{name}"):
        Settings(**{name: folder})
    assert Settings(**{name: tmp_path}), "a folder that a person names is that person's choice"
