"""A look that many wait for: it is taken once, holds nobody up, and is told when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from servelens_dashboard import watch
from servelens_dashboard.watch import Watch


class Looks:
    """Each begins when it is asked for, and ends when the test says what it sees."""

    def __init__(self) -> None:
        self.begun: list[Future[str]] = []
        self._more = threading.Condition()

    def __call__(self) -> str:
        sees: Future[str] = Future()
        with self._more:
            self.begun.append(sees)
            self._more.notify_all()
        return sees.result()

    def wait_for(self, count: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: len(self.begun) >= count, 60)


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def asking() -> ThreadPoolExecutor:
    return ThreadPoolExecutor()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PATIENCE_S", 0.01)
    monkeypatch.setattr(watch, "FRESH_S", 0.0)


def seen(looks: Looks, sees: str, asking: ThreadPoolExecutor, ask: Callable[[], str]) -> str:
    """What is told to who asks, once the look that it waits for ends so."""
    before = len(looks.begun)
    told = asking.submit(ask)
    looks.wait_for(before + 1)
    looks.begun[-1].set_result(sees)
    return told.result(60)


def test_those_who_ask_at_once_wait_for_one_look(looks: Looks, asking: ThreadPoolExecutor) -> None:
    watched = Watch(looks)
    told = [asking.submit(watched.now) for _ in range(4)]
    looks.wait_for(1)
    looks.begun[0].set_result("all of them")
    assert {each.result(60) for each in told} == {"all of them"}
    assert len(looks.begun) == 1
    assert watched.now() == "all of them", "which is fresh"


def test_who_need_not_wait_longer_is_told_what_was_seen_last(
    looks: Looks, asking: ThreadPoolExecutor, impatient: None
) -> None:
    watched = Watch(looks)
    assert seen(looks, "first", asking, watched.now) == "first"
    assert watched.now() == "first"
    assert watched.now() == "first"
    looks.wait_for(2)
    assert len(looks.begun) == 2, "one is under way, and another would be no sooner there"
    looks.begun[1].set_result("second")
    while watched.now() == "first":
        pass
    assert watched.now() == "second"


def test_what_a_look_sees_that_began_before_a_change_is_not_told_after_it(
    looks: Looks, asking: ThreadPoolExecutor, impatient: None
) -> None:
    watched = Watch(looks)
    assert seen(looks, "first", asking, watched.now) == "first"
    assert watched.now() == "first"
    looks.wait_for(2)
    assert seen(looks, "changed", asking, watched.anew) == "changed"
    looks.begun[1].set_result("as it was")
    assert watched.now() == "changed"


def test_what_is_raised_is_told_and_not_kept(looks: Looks, asking: ThreadPoolExecutor) -> None:
    watched = Watch(looks)
    told = asking.submit(watched.now)
    looks.wait_for(1)
    looks.begun[0].set_exception(ValueError("a fault"))
    with pytest.raises(ValueError, match="a fault"):
        told.result(60)
    assert seen(looks, "well again", asking, watched.now) == "well again"
