"""What breaks while a server runs: nothing is lost but what was broken, and the next is answered.

These kill workers, so that their server is nobody else's. What a model does that raises or runs
out of memory, and what a caller does that leaves, is in test_batches.py and test_facts_streams.py;
versions that come and go are in test_swap.py.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests
from lens_caller import PATIENCE_S, Lens, form, raw
from lens_pictures import photo, plain

from servelens.client import Refused
from servelens.client.transport import NO_WORKER
from servelens.local import Model, TorchServe

PHOTO = photo(0)
# A second and more: four passes, in each of which a red photo makes the model sleep.
SLOW = form(plain("red"), explain="saliency", target=[0, 1, 2])
FOR_GOOD = form(plain("lime"), explain="saliency")
QUEUE = 3


@pytest.fixture(scope="module")
def fragile(root: Path, lens_store: Path, start_server: Callable[..., TorchServe]) -> Lens:
    lone = Model("touchy.mar", "lone", batch_size=1)
    server = start_server(lens_store, lone, settings={"job_queue_size": str(QUEUE)})
    return Lens(server, root / "docs" / "schemas")


def test_a_worker_killed_amid_an_explanation_is_replaced(fragile: Lens) -> None:
    with recovering(fragile) as pid, asking(fragile) as answer:
        os.kill(pid, signal.SIGKILL)
        assert (answer.result().status_code, answer.result().json()["message"]) == (
            507,
            "Worker died.",
        )


def test_a_method_that_hangs_costs_its_caller_an_answer_and_nobody_else(fragile: Lens) -> None:
    """The worker is given up when it has been silent for as long as the archive allows."""
    with recovering(fragile):
        assert fragile.ask(FOR_GOOD, "lone").status_code == 500


@contextmanager
def recovering(fragile: Lens) -> Iterator[int]:
    """The worker's pid; afterwards another one is there, which answers, and nothing else: what
    hung does not go on beside it."""
    expected = fragile.bare(PHOTO, "lone")
    (before,), files = fragile.pids("lone"), left_behind(fragile)
    worker = psutil.Process(before)
    yield before
    assert patiently(lambda: fragile.ask(raw(PHOTO), "lone")).json() == expected
    (after,) = fragile.pids("lone")
    assert after != before
    deadline = time.monotonic() + PATIENCE_S
    while runs(worker):
        assert time.monotonic() < deadline, f"the old worker goes on: {worker}"
        time.sleep(0.2)
    assert left_behind(fragile) == files


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def left_behind(fragile: Lens) -> set[str]:
    """All that the server and its workers keep in their temporary folder, but for their logs, and
    for the `.download` folders that TorchServe forgets of archives which it cannot unpack."""
    folder = fragile.server.front_end.work.parent
    kept = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    passing = re.compile(r"^work/|__pycache__|\.download\b")
    return {path for path in kept if not passing.search(path)}


def patiently(ask: Callable[[], requests.Response]) -> requests.Response:
    """The first success, while a worker is being replaced."""
    deadline = time.monotonic() + PATIENCE_S
    while (answer := ask()).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    return answer


@contextmanager
def asking(fragile: Lens) -> Iterator[Future[requests.Response]]:
    """An explanation that the worker has begun and not ended."""
    before = fragile.batches("lone")
    with ThreadPoolExecutor(1) as caller:
        answer = caller.submit(fragile.ask, SLOW, "lone")
        while fragile.batches("lone") == before:
            assert not answer.done(), "it was answered before it was seen to begin"
        yield answer


def test_what_the_queue_has_no_room_for_is_refused_at_once(fragile: Lens) -> None:
    """config.properties: job_queue_size. What was in the queue is answered."""
    with asking(fragile) as busy, ThreadPoolExecutor(4 * QUEUE) as callers:
        crowd = [callers.submit(fragile.ask, raw(PHOTO), "lone") for _ in range(4 * QUEUE)]
        answers = [future.result() for future in crowd]
        assert busy.result().status_code == 200
    refused = [answer for answer in answers if answer.status_code != 200]
    assert QUEUE <= len(answers) - len(refused) <= QUEUE + 1
    for answer in refused:
        assert (answer.status_code, answer.json()["type"]) == (503, "ServiceUnavailableException")
        assert NO_WORKER in answer.json()["message"]
    assert fragile.ask(raw(PHOTO), "lone").status_code == 200


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5])
def test_an_archive_that_is_half_written_is_refused_and_leaves_nothing(
    fragile: Lens, lens_store: Path, share: float
) -> None:
    files = left_behind(fragile)
    whole = (lens_store / "tiny.mar").read_bytes()
    (lens_store / "half.mar").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Refused) as refused:
        fragile.server.client.register("half.mar", "half")
    assert refused.value.status == 500
    assert fragile.server.client.models() == ["lone"]
    assert left_behind(fragile) == files
    assert fragile.ask(raw(PHOTO), "lone").status_code == 200


def test_a_key_that_has_run_out_is_refused_until_it_is_renewed(
    lens_store: Path, start_server: Callable[..., TorchServe]
) -> None:
    """Fact 19. Keys last an hour; these a few seconds."""
    server = start_server(lens_store, settings={"token_expiration_min": "0.05"})
    keys = server.key_file
    assert keys is not None
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = requests.get(f"{server.url}/ping", headers=server.authorization(), timeout=30)
        if answer.status_code != 200:
            break
        assert time.monotonic() < deadline, "the key never ran out"
        time.sleep(0.5)
    assert (answer.status_code, answer.json()["type"]) == (400, "InvalidKeyException")
    with pytest.raises(Refused):
        server.client.health()
    server.client.renew_key("inference")
    assert server.client.health() == "Healthy"
