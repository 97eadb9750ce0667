"""Who may talk to us: the browser's own pages under a name that is known, and nobody else's.

A page of a stranger can make a browser send requests here, and by DNS rebinding under a name of the
stranger's. So Host and Origin must both be known, of HTTP and of WebSockets, which Dash checks only
against each other. A plain GET has no Origin, but could keep a worker busy for minutes: where the
browser says that another site makes it, it may open a page by a link, and nothing else.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from servelens_dashboard.settings import Settings
from servelens_dashboard.url_state import PAGES

POLICY_REFUSED = 1008


class Guard:
    """The outermost layer of the app."""

    def __init__(self, app: ASGIApp, settings: Settings, scripts: Sequence[str]) -> None:
        self._app = app
        self._settings = settings
        self._headers = {
            "Content-Security-Policy": content_policy(scripts),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, self._with_headers(send))
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": POLICY_REFUSED})

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        known = self._settings.known_hosts
        if without_port(host) not in known:
            return PlainTextResponse(
                "This name of the dashboard is not known; start it with --allow-host NAME.", 403
            )
        elsewhere = origin is not None and urlsplit(origin).netloc != host
        if elsewhere or (is_of_strangers(scope, headers) and not is_link(scope, headers)):
            return PlainTextResponse("Another site's page may not call the dashboard.", 403)
        if not self._knows_password(headers.get("authorization", "")):
            asking = {"WWW-Authenticate": 'Basic realm="ServeLens", charset="UTF-8"'}
            return PlainTextResponse("The dashboard asks for its password.", 401, asking)
        return None

    def _knows_password(self, given: str) -> bool:
        if self._settings.password is None:
            return True
        scheme, _, encoded = given.partition(" ")
        try:
            _, _, password = base64.b64decode(encoded, validate=True).partition(b":")
        except ValueError:
            return False
        same = hmac.compare_digest(password, self._settings.password.encode())
        return same and scheme.lower() == "basic"

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        return send_with_headers


def is_of_strangers(scope: Scope, headers: Headers) -> bool:
    """By the word of a browser; of the same site are the other ports of this machine too. That of a
    WebSocket always has an Origin."""
    by_another = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    return scope["type"] == "http" and by_another


def is_link(scope: Scope, headers: Headers) -> bool:
    """Whether it brings a person to one of the pages."""
    kind = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    is_page = scope["method"] == "GET" and scope["path"].strip("/") in ("", *PAGES)
    return is_page and kind == ("navigate", "document")


def without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdigit() else host.lower()


def content_policy(scripts: Sequence[str]) -> str:
    """What a page may load: our own files, and pictures that stand in it; so nothing goes out."""
    ours = " ".join(("'self'", *scripts))
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src {ours}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
