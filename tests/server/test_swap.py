"""Two versions of a model that come, go and take turns while callers ask: nobody notices.

Whoever names no version is answered by the one that is the default when they ask, and each answer
is right for the version that says it gave it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
import requests
from lens_caller import PATIENCE_S, Lens, assert_same_answer, form, raw
from lens_fixtures import TINY
from lens_pictures import photo

from servelens import codec
from servelens.local import TorchServe
from servelens_archives.builder import build
from servelens_archives.recipe import load_recipe

MODEL = "swap"
ARCHIVES = {"1.0": "tiny.mar", "2.0": "second.mar"}
PHOTO = photo(0)
# One caller each, who asks this over and over.
CALLERS = {
    "predicts": raw(PHOTO),
    "explains": form(PHOTO, explain=["saliency", "grad_cam"], target="top:2"),
    "streams": form(PHOTO, explain="saliency", target=[0, 1], stream=True),
}
Answers = Mapping[str, list[requests.Response]]


@pytest.fixture(scope="module")
def lens(
    root: Path,
    lens_store: Path,
    tmp_path_factory: pytest.TempPathFactory,
    start_server: Callable[..., TorchServe],
) -> Iterator[Lens]:
    """Both versions: the same network with other weights each."""
    parts = tmp_path_factory.mktemp("second")
    shutil.copy(root / "tests" / "models" / "tiny_net.py", parts)
    recipe = parts / "second.toml"
    recipe.write_text(TINY.replace('name = "tiny"', 'name = "second"\nversion = "2.0"'))
    build(load_recipe(recipe), lens_store, weights="none", seed=1)
    server = start_server(lens_store)
    for archive in ARCHIVES.values():
        server.client.register(archive, MODEL)
    yield Lens(server, root / "docs" / "schemas")
    server.front_end.stop()


def test_versions_take_turns_come_and_go_under_load(lens: Lens) -> None:
    client = lens.server.client
    expected = {
        version: {who: lens.ask(call, f"{MODEL}/{version}") for who, call in CALLERS.items()}
        for version in ARCHIVES
    }
    version_of = {digest(answers["explains"]): name for name, answers in expected.items()}
    assert set(version_of.values()) == set(ARCHIVES)
    assert expected["1.0"]["predicts"].json() != expected["2.0"]["predicts"].json()

    def answering(answers: Answers) -> set[str]:
        return {version_of[digest(answers[who][-1])] for who in ("explains", "streams")}

    with asked_all_the_time(lens) as answers:
        for version in ("2.0", "1.0", "2.0"):
            client.set_default(MODEL, version)
            all_ask_anew(answers)
            assert answering(answers) == {version}
        for gone, stays in (("1.0", "2.0"), ("2.0", "1.0")):
            client.set_default(MODEL, stays)
            all_ask_anew(answers)  # what the other one had begun is answered by now
            client.unregister(MODEL, version=gone)
            all_ask_anew(answers)
            client.register(ARCHIVES[gone], MODEL)
            all_ask_anew(answers)
            assert answering(answers) == {stays}
            assert {one.version for one in client.versions(MODEL)} == set(ARCHIVES)
    for who, given in answers.items():
        assert {answer.status_code for answer in given} == {200}, who
        for answer in given:
            assert_right(answer, who, expected, version_of)


@contextmanager
def asked_all_the_time(lens: Lens) -> Iterator[Answers]:
    answers: Answers = {who: [] for who in CALLERS}
    enough = Event()

    def ask(who: str) -> None:
        while not enough.is_set():
            answers[who].append(lens.ask(CALLERS[who], MODEL))

    with ThreadPoolExecutor(len(CALLERS)) as callers:
        running = [callers.submit(ask, who) for who in CALLERS]
        try:
            yield answers
        finally:
            enough.set()
    for caller in running:
        caller.result()


def all_ask_anew(answers: Answers) -> None:
    """Two more for each caller, of which the second was asked for from now on."""
    wanted = {who: len(given) + 2 for who, given in answers.items()}
    deadline = time.monotonic() + PATIENCE_S
    while any(len(answers[who]) < number for who, number in wanted.items()):
        assert time.monotonic() < deadline, "a caller gets no more answers"
        time.sleep(0.05)


def assert_right(
    answer: requests.Response,
    who: str,
    expected: Mapping[str, Mapping[str, requests.Response]],
    version_of: Mapping[str, str],
) -> None:
    """A prediction alone names no version: it is one of the two."""
    if who == "predicts":
        near = [pytest.approx(given[who].json(), abs=1e-5) for given in expected.values()]
        assert answer.json() in near
    else:
        assert_same_answer(answer, expected[version_of[digest(answer)]][who])


def digest(answer: requests.Response) -> str:
    """Of the model that answered, by its document, which may be the last frame of a stream."""
    streamed = answer.headers["Content-Type"] == codec.STREAM_TYPE
    last = json.loads(answer.content.splitlines()[-1]) if streamed else answer.json()
    document = last["document"] if streamed else last
    return str(document["model"]["digest"])
