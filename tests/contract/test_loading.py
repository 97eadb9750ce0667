"""How a worker comes up: what the archive says, what TorchServe gives, and what stops it."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ts.utils.util import list_classes_from_module
from worker_fixtures.front_end import FrontEnd, load, raw
from worker_fixtures.photos import PHOTO

import lens_handler
from servelens.engine.budget import Limits
from servelens.torchserve.faults import mark_following_lines
from servelens.torchserve.handler import CannotStart, LensHandler, device_for
from servelens.torchserve.settings import Settings, read_settings

# Workers are started in processes of their own.
pytestmark = pytest.mark.slow

HANDLERS = Path(lens_handler.__file__).parent


def test_the_entry_defines_exactly_one_class() -> None:
    assert list_classes_from_module(lens_handler) == [lens_handler.ServeLens]
    assert not hasattr(lens_handler, "handle")


def archive(folder: Path) -> Path:
    """The code as an archive has it."""
    shutil.copy(HANDLERS / "lens_handler.py", folder)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HANDLERS / "servelens", folder / "servelens", ignore=ignore)
    return folder


def run_python(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )


def test_an_archive_runs_its_own_code_whatever_is_installed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "servelens").mkdir(parents=True)
    (other / "servelens" / "__init__.py").write_text("raise ImportError('the wrong package')")
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    import_it = (
        "import torch, torchvision, warnings;"
        "warnings.filterwarnings('error', module='servelens|lens_handler');"
        "import lens_handler, servelens; print(servelens.__file__)"
    )
    done = run_python(import_it, other, archive(unpacked))
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(unpacked)


def test_what_cannot_be_imported_is_said_as_it_is(tmp_path: Path) -> None:
    archive(tmp_path)
    (tmp_path / "servelens" / "engine" / "session.py").write_text("import a_missing_package")
    load_it = (
        "from ts.model_loader import TsModelLoader as L; L().load('m', '.', 'lens_handler.py')"
    )
    done = run_python(load_it, tmp_path)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Exception: the archive's code cannot be imported")
    assert "No module named 'a_missing_package'" in last


def test_the_archive_s_section_sets_the_limits(model_folder: Path) -> None:
    config = {
        "responseTimeout": 60,
        "servelens": {"pixels": 1000, "response_bytes": 50_000, "threads": 1, "nice": 0},
    }
    threads = torch.get_num_threads()
    try:
        front_end = FrontEnd(load(model_folder, config))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    limits = front_end.ask(raw(b"", describe="")).json
    assert limits["type"] == "no_image"
    too_large = front_end.ask(raw(PHOTO))
    assert (too_large.status, too_large.json["type"]) == (413, "too_many_pixels")
    session = front_end.service._entry_point.__self__.session
    assert session.limits == Limits(pixels=1000, response_bytes=50_000, response_timeout_s=60)


def test_without_a_section_all_is_as_the_engine_has_it() -> None:
    for config in (None, {}, {"servelens": None}, {"minWorkers": 1, "other": {"a": 1}}):
        assert read_settings(config) == Settings(limits=Limits())


def test_our_own_timeout_beats_torchserve_s() -> None:
    config = {"responseTimeout": 60, "servelens": {"response_timeout_s": 30}}
    assert read_settings(config).limits.response_timeout_s == 30


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"respons_bytes": 1}, "did you mean 'response_bytes'"),
        ({"response_bytes": "6 MB"}, "servelens.response_bytes must be an integer"),
        ({"response_bytes": 0}, "servelens.response_bytes must be an integer from 1"),
        ({"nice": 20}, "servelens.nice must be an integer from 0 to 19"),
        ({"nice": -1}, "servelens.nice must be an integer from 0 to 19"),
        ({"threads": True}, "servelens.threads must be an integer"),
        ({"dtype": "int8"}, "servelens.dtype must be 'float32'"),
        ([1], "servelens must be an object"),
    ],
)
def test_a_wrong_section_stops_the_worker_and_says_why(
    model_folder: Path, section: Any, said: str
) -> None:
    with pytest.raises(CannotStart) as caught:
        load(model_folder, {"servelens": section})
    assert said in str(caught.value)
    assert str(caught.value).startswith("model-config.yaml: ")


@pytest.mark.parametrize(
    ("gpu_id", "gpus", "device"),
    [
        (None, 0, "cpu"),
        (None, 2, "cpu"),
        (3, 0, "cpu"),
        (0, 1, "cuda:0"),
        (1, 2, "cuda:1"),
        # `parallelType: custom` shows a process fewer GPUs than TorchServe counts.
        (3, 1, "cuda:0"),
        (5, 2, "cuda:1"),
    ],
)
def test_a_gpu_is_one_that_the_process_sees(gpu_id: int | None, gpus: int, device: str) -> None:
    assert device_for(gpu_id, gpus) == device


def test_a_worker_may_step_back_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = importlib.import_module("servelens.torchserve.handler")
    asked: list[int] = []
    monkeypatch.setattr(os, "nice", asked.append)
    handler.take_share_of_machine(Settings(nice=0))
    handler.take_share_of_machine(Settings(nice=19))
    assert asked == [19]


def test_before_it_is_loaded_a_handler_answers_that_it_failed(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    front_end = FrontEnd(load(model_folder))
    monkeypatch.setattr(front_end.service, "_entry_point", LensHandler().handle)
    assert front_end.ask(raw(PHOTO)).status == 500


@pytest.fixture
def log() -> tuple[logging.Logger, list[str]]:
    """A logger whose formatted records are kept."""
    lines: list[str] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    logger = logging.Logger("as the worker's root")
    logger.addHandler(Keeps())
    logger.handlers[0].setFormatter(logging.Formatter("%(message)s"))
    return logger, lines


def test_only_a_record_s_first_line_may_look_like_a_command(
    log: tuple[logging.Logger, list[str]],
) -> None:
    logger, lines = log
    mark_following_lines(logger)
    mark_following_lines(logger)
    logger.info("[METRICS]ours")
    logger.info("")
    try:
        raise ValueError("sent\n[PID]1\r\nTorch worker started.\u2028[METRICS]theirs")
    except ValueError:
        logger.exception("it failed")
    assert lines[:2] == ["[METRICS]ours", ""]
    first, *following = lines[2].split("\n")
    assert first == "it failed"
    assert all(line.startswith("  | ") for line in following)
    assert "  | [PID]1" in following
    assert "  |   | " not in lines[2]


def test_nothing_of_the_adapter_prints() -> None:
    for module in (HANDLERS / "servelens" / "torchserve").glob("*.py"):
        assert "print(" not in module.read_text()
    assert "print" not in inspect.getsource(lens_handler)
