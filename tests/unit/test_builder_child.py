"""A job in a process of its own answers with a value or one sentence, however it ends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from servelens_archives.child import run_job, write_report
from servelens_archives.errors import BuildError


def run(code: str, report: Path, seconds: float = 30) -> Any:
    return run_job(["-c", code, str(report)], report, environment=dict(os.environ), seconds=seconds)


WRITE = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text({!r})"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (WRITE.format('{"problem": "is sour"}') + "; sys.exit(1)", "is sour"),
        ("import os; os.kill(os.getpid(), 9)",
         "ended its process with code -9; the last line it printed: none"),
        ("print('hello'); raise ValueError('first\\nlast')",
         "ended its process with code 1; the last line it printed: last"),
        ("", "ended its process with code 0; the last line it printed: none"),
        (WRITE.format('{"result": 3}') + "; sys.exit(3)",
         "ended its process with code 3; the last line it printed: none"),
        (WRITE.format("[1"), "ended its process with code 0; the last line it printed: none"),
        (WRITE.format("[1]"), "ended its process with code 0; the last line it printed: none"),
        ("print('x' * 10_000); raise SystemExit(1)",
         "ended its process with code 1; the last line it printed: " + "x" * 300),
    ],
)  # fmt: skip
def test_a_failed_job_is_one_sentence(tmp_path: Path, code: str, sentence: str) -> None:
    with pytest.raises(BuildError) as error:
        run(code, tmp_path / "report.json")
    assert str(error.value) == sentence


@pytest.mark.slow
def test_a_job_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="^took longer than 1 seconds and was stopped$"):
        run("import time; time.sleep(60)", tmp_path / "report.json", seconds=1)


def test_a_result_comes_back_through_whatever_the_job_prints(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    write_report(tmp_path / "said.json", result={"a": [1, None]})
    said = (tmp_path / "said.json").read_text()
    assert run("print('noise');" + WRITE.format(said), report) == {"a": [1, None]}


def test_what_a_job_tells_on_its_way_is_heard_while_it_runs(tmp_path: Path) -> None:
    """The job goes on only when its first line has been heard."""
    report, heard = tmp_path / "report.json", tmp_path / "heard"
    code = (
        "import sys, time, pathlib\n"
        "report = pathlib.Path(sys.argv[1])\n"
        "progress, heard = report.with_suffix('.progress'), report.with_name('heard')\n"
        "progress.write_text('one\\nhal')\n"
        "while not heard.exists(): time.sleep(0.01)\n"
        "progress.write_text('one\\nhalf\\n')\n"
        "while heard.read_text() != 'half': time.sleep(0.01)\n"
        "report.write_text('{\"result\": 1}')"
    )
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        heard.write_text(line)

    arguments = ["-c", code, str(report)]
    environment = dict(os.environ)
    assert run_job(arguments, report, environment=environment, seconds=60, tell=tell) == 1
    assert told == ["one", "half"]
