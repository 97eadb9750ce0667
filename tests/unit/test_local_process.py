"""A child process is owned to its end, with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from servelens.local.process import OwnedProcess

TWO_CHILDREN = "sleep 600 & sleep 600 & echo up; wait"
DEAF_CHILD = "(trap '' TERM; echo up; while :; do sleep 0.1; done) & wait"


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[list[OwnedProcess]]:
    started: list[OwnedProcess] = []
    yield started
    for process in started:
        process.stop(1)


def start(owned: list[OwnedProcess], folder: Path, script: str) -> OwnedProcess:
    log = folder / "log"
    process = OwnedProcess(["bash", "-c", script], folder, os.environ, log)
    owned.append(process)
    wait_for(lambda: "up" in log.read_text())
    return process


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def runs(member: psutil.Process) -> bool:
    return member.is_running() and member.status() != psutil.STATUS_ZOMBIE


def test_stopping_ends_the_whole_family(owned: list[OwnedProcess], tmp_path: Path) -> None:
    process = start(owned, tmp_path, TWO_CHILDREN)
    family = process.family()
    assert len(family) == 3
    process.stop()
    assert not any(runs(member) for member in family)
    assert process.family() == []


def test_children_are_found_after_their_parent_died(
    owned: list[OwnedProcess], tmp_path: Path
) -> None:
    process = start(owned, tmp_path, TWO_CHILDREN)
    family = process.family()
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: process.exit_code is not None)
    assert len(process.family()) == 2
    process.stop()
    assert not any(runs(member) for member in family)


def test_who_does_not_listen_is_made_to_end(owned: list[OwnedProcess], tmp_path: Path) -> None:
    process = start(owned, tmp_path, DEAF_CHILD)
    family = process.family()
    process.stop(patience_s=0.6)
    assert not any(runs(member) for member in family)


def test_stopping_twice_does_nothing_more(owned: list[OwnedProcess], tmp_path: Path) -> None:
    process = start(owned, tmp_path, TWO_CHILDREN)
    process.stop()
    process.stop()
    assert process.exit_code == -signal.SIGTERM


def test_a_bystander_of_our_own_is_left_alone(owned: list[OwnedProcess], tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as bystander:
        start(owned, tmp_path, TWO_CHILDREN).stop()
        assert bystander.poll() is None
        bystander.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_the_child_ends_when_we_are_killed(root: Path, tmp_path: Path) -> None:
    script = (
        "import os, time; from pathlib import Path; "
        "from servelens.local.process import OwnedProcess; "
        f"p = OwnedProcess(['sleep', '600'], Path({str(tmp_path)!r}), os.environ, "
        f"Path({str(tmp_path / 'log')!r})); print(p.pid, flush=True); time.sleep(600)"
    )
    environ = {**os.environ, "PYTHONPATH": str(root / "handlers")}
    with subprocess.Popen([sys.executable, "-c", script], stdout=-1, env=environ) as owner:
        assert owner.stdout is not None
        child = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    wait_for(lambda: not runs(child))
