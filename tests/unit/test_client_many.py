"""Many photos in order: what fails costs no other its answer, and no more are read than asked."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from servelens.client import BadPhoto, ClientError, in_order


def test_answers_come_in_the_callers_order_though_the_last_is_there_first() -> None:
    """Each call waits until the one after it is done."""
    done = [threading.Event() for _ in range(5)]
    done[4].set()

    def ask(number: int) -> int:
        assert done[min(number + 1, 4)].wait(30)
        done[number].set()
        return number

    assert list(in_order(ask, range(5), at_once=5)) == list(range(5))


def test_an_error_takes_the_place_of_its_answer() -> None:
    def ask(number: int) -> int:
        if number % 2:
            raise BadPhoto(f"photo {number}")
        return number

    answers = list(in_order(ask, range(5)))
    assert [str(a) if isinstance(a, ClientError) else a for a in answers] == [
        0, "photo 1", 2, "photo 3", 4,
    ]  # fmt: skip


def test_an_error_that_is_no_servers_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda number: 1 // number, [1, 0, 1]))


@pytest.mark.parametrize("at_once", [1, 3])
def test_never_more_are_asked_at_a_time_and_as_many_as_allowed(at_once: int) -> None:
    running, most = 0, 0
    lock, full = threading.Lock(), threading.Barrier(at_once)

    def ask(number: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        full.wait(30)
        with lock:
            running -= 1
        full.wait(30)

    list(in_order(ask, range(at_once * 3), at_once=at_once))
    assert most == at_once


def test_of_endless_photos_no_more_are_read_than_are_asked() -> None:
    read = []

    def photos() -> Iterator[int]:
        for number in itertools.count():
            read.append(number)
            yield number

    answers = in_order(lambda number: number, photos(), at_once=3)
    assert [next(answers) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(read) == 8
    answers.close()
    assert len(read) == 8


def test_no_photos_are_no_answers() -> None:
    assert list(in_order(lambda number: number, [])) == []


def test_none_at_a_time_is_refused() -> None:
    with pytest.raises(ValueError, match="at_once must be 1 or more, not 0"):
        next(in_order(lambda number: number, [1], at_once=0))


def test_the_bar_is_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(in_order(lambda number: number, [1, 2], progress=True)) == [1, 2]
    assert capsys.readouterr().out == ""
