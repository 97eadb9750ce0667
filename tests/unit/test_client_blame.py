"""A worker's own error, found in TorchServe's log."""

from __future__ import annotations

from pathlib import Path

from servelens.client.blame import worker_error

START = ["[PID]4960", "Torch worker started.", "Python runtime: 3.11.7", "model_name: m"]
MISSING = [
    "Backend worker process died.",
    "Traceback (most recent call last):",
    '  File "handler.py", line 3, in initialize',
    '    raise FileNotFoundError("no weights")',
    "FileNotFoundError: no weights",
]
MISMATCH = [
    "Failed to load model m, exception size mismatch",
    "Traceback (most recent call last):",
    "RuntimeError: size mismatch",
    "Backend worker process died.",
    "Traceback (most recent call last):",
    "RuntimeError: 500 - Unknown exception",
]


def lines(worker: str, said: list[str], stream: str = "stdout") -> list[str]:
    return [f"2026-01-31T01:02:03,456 [INFO ] {worker}-{stream} MODEL_LOG - {x}" for x in said]


def found_in(tmp_path: Path, log: list[str], model: str = "m") -> str:
    path = tmp_path / "model_log.log"
    path.write_text("\n".join(log) + "\n")
    return worker_error(path, model)


def test_the_traceback_is_found(tmp_path: Path) -> None:
    assert found_in(tmp_path, lines("W-9000-m_1.0", START + MISSING)) == "\n".join(MISSING[1:])


def test_other_models_lines_between_are_left_out(tmp_path: Path) -> None:
    ours = lines("W-9000-m_1.0", START + MISSING)
    theirs = lines("W-9001-m_too_1.0", [f"noise {number}" for number in range(len(ours))])
    mixed = [line for pair in zip(ours, theirs, strict=True) for line in pair]
    assert found_in(tmp_path, mixed) == "\n".join(MISSING[1:])
    assert found_in(tmp_path, mixed, "m_too").startswith("noise 0")


def test_the_real_error_is_told_and_not_the_one_torchserve_makes_of_it(tmp_path: Path) -> None:
    said = found_in(tmp_path, lines("W-9000-m_1.0", START + MISMATCH))
    assert said.endswith("RuntimeError: size mismatch")


def test_a_chain_of_errors_is_told_whole(tmp_path: Path) -> None:
    chain = [*MISSING, "", "During handling of the above exception, another occurred:", "", "X: y"]
    assert found_in(tmp_path, lines("W-9000-m_1.0", START + chain)) == "\n".join(chain[1:])


def test_the_last_of_several_tries_is_told(tmp_path: Path) -> None:
    tries = lines("W-9000-m_1.0", START + MISSING) + lines("W-9000-m_1.0", START + MISMATCH)
    assert found_in(tmp_path, tries).endswith("RuntimeError: size mismatch")


def test_a_worker_that_died_without_a_traceback_is_quoted(tmp_path: Path) -> None:
    log = lines("W-9000-m_1.0", START) + lines("W-9000-m_1.0", ["Killed"], "stderr")
    assert found_in(tmp_path, log).splitlines()[-2:] == ["model_name: m", "Killed"]


def test_a_worker_that_never_spoke_gives_nothing(tmp_path: Path) -> None:
    assert found_in(tmp_path, []) == ""
    assert worker_error(tmp_path / "no.log", "m") == ""
