"""Clients on one server, each with a connection of its own, that ask as fast as they are answered.

They are threads of this process, which waits and does little else: bodies are made beforehand, the
standard library's connection sends them, and a table says which share of a core all of it took.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from tests.bench.load.asks import Answer, Ask
from tests.bench.load.tally import Outcome, Tally

from servelens.client.transport import NO_WORKER
from servelens.local import TorchServe

ANSWER_S = 120.0
# Of a client that was refused because too many asked.
BACK_OFF_S = 0.1
REFUSED = 503
QUEUE_FULL = "503 the queue is full"


def press(server: TorchServe, clients: Sequence[Iterable[Ask]], seconds: float) -> Tally:
    """What has been asked by the end is waited for."""
    outcomes: list[Outcome] = []
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_client, args=(server, asks, until, outcomes)) for asks in clients
    ]
    started, busy = time.monotonic(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - started
    return Tally(outcomes, took, (time.process_time() - busy) / took)


def _client(server: TorchServe, asks: Iterable[Ask], until: float, outcomes: list[Outcome]) -> None:
    keys, door = server.authorization(), urlsplit(server.url).netloc
    with closing(HTTPConnection(door, timeout=ANSWER_S)) as connection:
        for ask in asks:
            if time.monotonic() >= until:
                return
            outcome = _asked(connection, ask, keys)
            outcomes.append(outcome)
            if outcome.complaint == QUEUE_FULL:
                time.sleep(BACK_OFF_S)


def _asked(connection: HTTPConnection, ask: Ask, keys: Mapping[str, str]) -> Outcome:
    started = time.monotonic()
    try:
        answer = _answer(connection, ask, keys)
    except (OSError, HTTPException) as error:
        connection.close()  # the next request opens it anew
        return Outcome(ask.kind, time.monotonic() - started, f"no answer: {type(error).__name__}")
    return Outcome(ask.kind, time.monotonic() - started, judged(ask, answer))


def _answer(connection: HTTPConnection, ask: Ask, keys: Mapping[str, str]) -> Answer:
    connection.request("POST", ask.path, ask.body, {**ask.headers, **keys})
    answer = connection.getresponse()
    return Answer(answer.status, answer.getheader("Content-Type", ""), answer.read())


def judged(ask: Ask, answer: Answer) -> str:
    """What is wrong with the answer; nothing where it is the right one."""
    if answer.status == REFUSED and NO_WORKER.encode() in answer.body:
        return QUEUE_FULL
    try:
        return ask.check(answer) or ""
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return f"{answer.status} that cannot be read: {type(error).__name__}"
