"""The README as a newcomer follows it: its first command, and all that it shows beside the demo.

One demo runs for all of it. Shells start without `.venv` on their PATH and without any variable of
ours: they know what the demo printed, and what the README says.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

LONG = 500
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
MADE_READY = re.compile(r"^  ((?:cd|source|export) .*)$", re.MULTILINE)
# Shown, and other ones with each call and each change of the code.
CHANGING = ("ms", "digest")


class Demo:
    """`scripts/demo`, running; `text` is what it printed."""

    def __init__(self, root: Path, log: Path) -> None:
        with log.open("w") as said:
            self.process = subprocess.Popen(
                [root / "scripts" / "demo"], stdout=said, stderr=said, env=bare_environ()
            )
        for _ in range(LONG):
            time.sleep(1)
            self.text = log.read_text()
            if re.search(r"^  export SERVELENS_INFERENCE_KEY=\S+\n", self.text, re.MULTILINE):
                return
            assert self.process.poll() is None, self.text
        raise AssertionError(self.text)

    def shell(self, script: str) -> str:
        """What a second terminal prints for it, when the demo's lines were copied there first."""
        done = subprocess.run(
            ["bash", "-ec", "\n".join((*MADE_READY.findall(self.text), script))],
            env={**bare_environ(), "COLUMNS": "120"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout

    def press_ctrl_c(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def demo(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(root, tmp_path_factory.mktemp("demo") / "said")
    yield running
    if running.process.poll() is None:
        running.press_ctrl_c()


def test_the_demo_tells_the_story_that_the_readme_shows(root: Path) -> None:
    told = subprocess.run(
        [root / "scripts" / "demo", "--check"], capture_output=True, text=True, timeout=LONG
    )
    assert told.returncode == 0, told.stdout + told.stderr
    lines = told.stdout.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("ok  ") for line in lines), told.stdout
    assert_alike("\n".join(lines[2:6]), blocks(root, "A real answer", "console")[-1])


def test_what_the_demo_says_to_try_works_as_copied(demo: Demo) -> None:
    commands = re.findall(r"^  (curl .*)$", demo.text, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        assert json.loads(demo.shell(f"{command} --silent --fail-with-body"))


def test_a_real_answer(root: Path, demo: Demo) -> None:
    plain, explained, _ = blocks(root, "A real answer", "console")
    for ((command, shown),) in (commands_of(plain), commands_of(explained)):
        answer = demo.shell(f"{command} --silent --fail-with-body")
        assert_same_document(json.loads(answer), json.loads(shown))


def test_from_python(root: Path, demo: Demo, tmp_path: Path) -> None:
    (shown,) = blocks(root, "From Python", "python")
    (tmp_path / "shown.py").write_text(shown.replace('"out/', f'"{tmp_path}/'))
    printed = re.findall(r"^(?:print\(.*\)  )?# (.*)$", shown, re.MULTILINE)
    assert_alike(demo.shell(f"python {tmp_path}/shown.py"), "\n".join(printed))
    assert (tmp_path / "square" / "manifest.json").is_file()


def test_from_the_shell(root: Path, demo: Demo, tmp_path: Path) -> None:
    (shown,) = blocks(root, "From the shell", "console")
    for command, answer in commands_of(shown):
        said = demo.shell(command.replace(" out", f" {tmp_path}/out"))
        assert_alike(said.replace(f"{tmp_path}/", ""), answer)


def test_the_demo_and_smoke_agree(demo: Demo) -> None:
    said = demo.shell("scripts/smoke $SERVELENS_URL --management $SERVELENS_MANAGEMENT_URL")
    assert said.splitlines()[-1] == "all checks passed"


def test_ctrl_c_leaves_nothing_running(demo: Demo) -> None:
    """Last in this file, for it ends what the others ask."""
    family = psutil.Process(demo.process.pid).children(recursive=True)
    commands = [" ".join(process.cmdline()) for process in family]
    for kind, number in (("ModelServer", 1), ("model_service_worker", 2), ("servelens_dash", 1)):
        assert sum(kind in command for command in commands) >= number, commands
    assert demo.press_ctrl_c() == 0
    assert [process for process in family if runs(process)] == []


def runs(process: psutil.Process) -> bool:
    """One that ended and waits to be noticed does not: some containers have nobody who would."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def bare_environ() -> dict[str, str]:
    """Without what `scripts/test` or a developer set up for themselves."""
    ours = {name: value for name, value in os.environ.items() if "SERVELENS" not in name}
    folders = os.environ["PATH"].split(os.pathsep)
    bare = [folder for folder in folders if not (Path(folder) / "servelens").exists()]
    return {**ours, "PATH": os.pathsep.join(bare)}


def blocks(root: Path, title: str, kind: str) -> list[str]:
    text = (root / "README.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {title}\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert section is not None, title
    return re.findall(rf"^```{kind}\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)


def commands_of(block: str) -> list[tuple[str, str]]:
    """Each command of a console, with the lines that a backslash joins to it, and its answer."""
    found = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    assert found, block
    return found


def assert_alike(got: str, shown: str) -> None:
    """The same words, and numbers as near as another machine's arithmetic leaves them."""
    words, theirs = (NUMBER.sub("#", " ".join(text.split())) for text in (got, shown))
    assert words == theirs
    numbers = [[float(n) for n in NUMBER.findall(text)] for text in (got, shown)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=0.002)


def assert_same_document(got: Any, shown: Any, where: str = "") -> None:
    if isinstance(shown, dict):
        assert list(got) == list(shown), where
        for key in shown.keys() - set(CHANGING):
            assert_same_document(got[key], shown[key], f"{where}.{key}")
    elif isinstance(shown, list):
        assert len(got) == len(shown), where
        for number, (ours, theirs) in enumerate(zip(got, shown, strict=True)):
            assert_same_document(ours, theirs, f"{where}[{number}]")
    elif isinstance(shown, float):
        assert got == pytest.approx(shown, rel=0.02, abs=0.002), where
    elif str(shown).endswith("…"):
        assert got.startswith(shown[:-1]), where
    else:
        assert got == shown, where
