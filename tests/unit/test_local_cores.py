"""Workers that are started together share the cores."""

from __future__ import annotations

import os

import pytest

from servelens.local.cores import THREADS, cores, share, threads_each


@pytest.mark.parametrize(("workers", "threads"), [(0, 8), (1, 8), (2, 4), (3, 2), (8, 1), (99, 1)])
def test_all_together_take_no_more_than_there_are(
    monkeypatch: pytest.MonkeyPatch, workers: int, threads: int
) -> None:
    monkeypatch.setattr("servelens.local.cores.cores", lambda: 8)
    assert threads_each(workers) == threads
    assert share(workers, {"PATH": "/"}) == {THREADS: str(threads)}


def test_who_has_decided_is_left_alone() -> None:
    assert share(2, {THREADS: "5"}) == {}


def test_cores_that_we_may_not_use_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    assert cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1
