"""The README's first command, as a newcomer runs it."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

LONG = 500


def test_the_demo_tells_its_story(root: Path) -> None:
    told = subprocess.run(
        [root / "scripts" / "demo", "--check"], capture_output=True, text=True, timeout=LONG
    )
    assert told.returncode == 0, told.stdout + told.stderr
    lines = told.stdout.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("ok  ") for line in lines), told.stdout


def test_what_the_demo_says_to_try_works_as_copied(root: Path, tmp_path: Path) -> None:
    with (tmp_path / "said").open("w+") as said:
        demo = subprocess.Popen([root / "scripts" / "demo"], stdout=said, stderr=said)
        try:
            text = _wait_for(tmp_path / "said", "What may be asked", demo)
            commands = re.findall(r"^  (curl .*)$", text, re.MULTILINE)
            assert len(commands) == 4
            for command in commands:
                answer = subprocess.run(
                    f"{command} --silent --fail-with-body",
                    shell=True,
                    cwd=root,
                    capture_output=True,
                    timeout=60,
                )
                assert answer.returncode == 0, (command, answer.stdout)
        finally:
            demo.send_signal(signal.SIGINT)
            assert demo.wait(60) == 0


def _wait_for(path: Path, text: str, process: subprocess.Popen[bytes]) -> str:
    for _ in range(LONG):
        if text in path.read_text():
            time.sleep(1)
            return path.read_text()
        assert process.poll() is None, path.read_text()
        time.sleep(1)
    raise AssertionError(path.read_text())
