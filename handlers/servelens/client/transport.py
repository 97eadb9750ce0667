"""One HTTP call: time limits, keys, and another try where that cannot do a thing twice.

A call whose connection was never made is repeated whatever it is, for the server has seen nothing
of it. One whose connection broke is repeated only if it is a GET. Silence is never repeated: the
server may still be at work on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError, NewConnectionError, ReadTimeoutError

from servelens.client.errors import LensProblem, NotConnected, Refused, TooSlow, Unreachable
from servelens.client.keys import Keys
from servelens.protocol import shorten

CONNECT_S = 10.0
ANSWER_S = 120.0
WAITS_S = (0.1, 0.4)
CONNECTIONS = 32
# TorchServe's sentence for a model without workers, and for one whose queue is full.
NO_WORKER = "has no worker to serve inference request"


class Transport:
    """Connections that many threads may share; nothing is remembered from call to call."""

    def __init__(self, keys: Keys, connect_s: float, answer_s: float) -> None:
        self._keys = keys
        self._connect_s = connect_s
        self._answer_s = answer_s
        self._http = requests.Session()
        # A proxy or a netrc entry is not meant for a server that was named by its address.
        self._http.trust_env = False
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))

    def close(self) -> None:
        self._http.close()

    def call(
        self, door: str, verb: str, url: str, patience_s: float | None = None, **how: Any
    ) -> requests.Response:
        """The answer, if it is a success; `door` says which key opens it."""
        headers = {**how.pop("headers", {}), **self._keys.headers(door)}
        limits = (self._connect_s, patience_s or self._answer_s)
        # A redirect would take the photo and the key to where nobody sent them.
        how = {**how, "headers": headers, "timeout": limits, "allow_redirects": False}
        try:
            answer = self._send(verb, url, how)
            if 200 <= answer.status_code < 300:
                return answer
            with answer:
                raise _refusal(answer)
        except requests.RequestException as error:
            raise _unreachable(url, error, limits) from error

    def lines(self, door: str, verb: str, url: str, **how: Any) -> Iterator[bytes]:
        """The lines of an answer as they come."""
        with self.call(door, verb, url, stream=True, **how) as answer:
            try:
                # As the server cut it: of pieces of a fixed size a long line is put together anew
                # each time, which takes 20 s for one of 6 MB.
                yield from answer.iter_lines(chunk_size=None)
            except requests.RequestException as error:
                raise _unreachable(url, error, (self._connect_s, self._answer_s)) from error

    def _send(self, verb: str, url: str, how: dict[str, Any]) -> requests.Response:
        for wait_s in WAITS_S:
            try:
                return self._http.request(verb, url, **how)
            except requests.ConnectionError as error:
                if not (_never_connected(error) or (verb == "GET" and not _was_silent(error))):
                    raise
            time.sleep(wait_s)
        return self._http.request(verb, url, **how)


def _never_connected(error: requests.RequestException) -> bool:
    cause = _cause(error)
    refused = isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
    return refused or isinstance(error, requests.ConnectTimeout)


def _was_silent(error: requests.RequestException) -> bool:
    """Silence in the middle of an answer is a ConnectionError to requests, and bears its cause."""
    return isinstance(error, requests.Timeout) or isinstance(_cause(error), ReadTimeoutError)


def _cause(error: requests.RequestException) -> object:
    return error.args[0] if error.args else None


def _unreachable(
    url: str, error: requests.RequestException, limits: tuple[float, float]
) -> Unreachable:
    if isinstance(error, requests.ConnectTimeout):
        return NotConnected(
            f"{url} did not answer: no connection within {limits[0]:g} s. Is the address right?"
        )
    if _never_connected(error):
        return NotConnected(
            f"{url} did not answer: no connection could be made. Is the server up, and the address "
            "right?"
        )
    if _was_silent(error):
        return TooSlow(
            f"{url} did not answer within {limits[1]:g} s; its workers may be busy or dead. Give "
            "it more time, or look at its log"
        )
    return Unreachable(f"{url} did not answer: {shorten(str(error), 300)}")


def _refusal(answer: requests.Response) -> Refused:
    try:
        said = answer.json()
    except ValueError:
        return Refused(answer.status_code, answer.text[:500] or answer.reason)
    if isinstance(said, dict) and {"type", "message"} <= said.keys() and "where" in said:
        return LensProblem(answer.status_code, said)
    message = said.get("message") if isinstance(said, dict) else None
    reason = str(message or said)[:500]
    if NO_WORKER in reason:
        reason += " Or its queue is full, of which TorchServe says the same: then ask again later."
    return Refused(answer.status_code, reason)
