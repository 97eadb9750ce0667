"""scripts/serve on a real TorchServe: what it prints, how it ends, and what it leaves behind."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import requests
from archive_fixtures.packing import pack
from PIL import Image

from servelens.local import Model, Ports, TorchServe
from servelens.local.cores import THREADS, threads_each
from servelens.local.ports import LOOPBACK

ECHO = """
class Echo:
    def initialize(self, context):
        self.said = context.model_name
    def handle(self, data, context):
        return [self.said for _ in data]
"""
MISSING = """
class Broken:
    def initialize(self, context):
        raise FileNotFoundError("the weights of this model are missing")
    def handle(self, data, context):
        return data
"""
MISMATCH = MISSING.replace("FileNotFoundError", "RuntimeError")
SLOW = MISSING.replace("raise FileNotFoundError(", "__import__('time').sleep(60); print(")
MODEL_CONFIG = "minWorkers: 1\nmaxWorkers: 1\nbatchSize: 3\nmaxBatchDelay: 77\n"
NET = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Handlers that need no torch start in two seconds; ``tiny`` is served by the stock one."""
    made = tmp_path_factory.mktemp("store")
    parts = tmp_path_factory.mktemp("parts")
    handlers = {"echo": ECHO, "missing": MISSING, "mismatch": MISMATCH, "slow": SLOW}
    for name, source in handlers.items():
        handler = parts / f"{name}_handler.py"
        handler.write_text(source)
        pack(made, name, "--handler", handler)
    (parts / "model-config.yaml").write_text(MODEL_CONFIG)
    settled = ("--config-file", parts / "model-config.yaml")
    pack(made, "settled", "--handler", parts / "echo_handler.py", *settled)
    (parts / "net.py").write_text(NET)
    save = "import torch, net; torch.save(net.Net().state_dict(), 'net.pt')"
    subprocess.run([sys.executable, "-c", save], cwd=parts, check=True)
    weights = ("--model-file", parts / "net.py", "--serialized-file", parts / "net.pt")
    pack(made, "tiny", "--handler", "image_classifier", *weights)
    return made


class Served:
    """One run of scripts/serve."""

    def __init__(self, root: Path, store: Path, *arguments: str) -> None:
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by the fixture
        script, where = str(root / "scripts" / "serve"), str(store)
        command = [script, "--store", where, "--ports", "0,0,0", *arguments]
        self.process = subprocess.Popen(command, stdout=-1, stderr=self.said, text=True)

    def ready_url(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready http://127.0.0.1:"), self.errors()
        return line.split()[1]

    def family(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)

    def rest_of_output(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def errors(self) -> str:
        self.said.seek(0)
        return self.said.read()


@pytest.fixture
def serve(root: Path, store: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(*arguments: str) -> Served:
        started.append(Served(root, store, *arguments))
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            served.end(signal.SIGTERM)
        served.rest_of_output()
        served.process.stdout.close()  # type: ignore[union-attr]
        served.said.close()


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def runs(member: psutil.Process) -> bool:
    return member.is_running() and member.status() != psutil.STATUS_ZOMBIE


def key_of(work: Path, door: str) -> dict[str, str]:
    keys = json.loads((work / "key_file.json").read_text())
    return {"Authorization": f"Bearer {keys[door]['key']}"}


def temporary_folders() -> set[str]:
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("ts-")}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_is_ready_then_answers_then_ends_and_leaves_nothing(
    serve: Callable[..., Served], tmp_path: Path, how: signal.Signals
) -> None:
    before = temporary_folders()
    served = serve("--models", "echo.mar", "--work", str(tmp_path))
    url = served.ready_url()
    answer = requests.post(
        f"{url}/predictions/echo", headers=key_of(tmp_path, "inference"), data=b"x", timeout=30
    )
    assert (answer.status_code, answer.text) == (200, "echo")
    family = served.family()
    assert len(family) == 3, "serve, java and a worker"
    assert served.end(how) == 0
    assert served.rest_of_output() == "", "the ready line is the only one"
    assert not any(runs(member) for member in family)
    assert temporary_folders() == before


def test_the_stock_handler_predicts(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve("--models", "net=tiny.mar", "--work", str(tmp_path))
    image = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(image, "png")
    answer = requests.post(
        f"{served.ready_url()}/predictions/net",
        headers=key_of(tmp_path, "inference"),
        data=image.getvalue(),
        timeout=60,
    )
    assert answer.status_code == 200
    assert len(answer.json()) == 5, "the top 5 of 6 classes"


def test_a_server_that_is_still_starting_ends_as_cleanly(serve: Callable[..., Served]) -> None:
    before = temporary_folders()
    served = serve("--models", "slow.mar")
    wait_for(lambda: len(served.family()) == 3)
    family = served.family()
    assert served.end(signal.SIGTERM) == 0
    assert served.rest_of_output() == ""
    assert not any(runs(member) for member in family)
    assert temporary_folders() == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_java_and_the_workers_end_when_the_script_is_killed(serve: Callable[..., Served]) -> None:
    served = serve("--models", "echo.mar")
    served.ready_url()
    family = served.family()
    assert served.end(signal.SIGKILL) == -signal.SIGKILL
    wait_for(lambda: not any(runs(member) for member in family))


def test_the_script_fails_when_the_server_dies(serve: Callable[..., Served]) -> None:
    served = serve("--models", "echo.mar")
    served.ready_url()
    family = served.family()
    next(member for member in family if member.name() == "java").kill()
    assert served.process.wait(60) == 1
    assert "The server ended by itself with -9" in served.errors()
    assert not any(runs(member) for member in family)


@pytest.mark.parametrize(
    ("archive", "error"),
    [
        ("missing.mar", "FileNotFoundError: the weights of this model are missing"),
        ("mismatch.mar", "RuntimeError: the weights of this model are missing"),
    ],
)
def test_a_model_that_cannot_start_fails_with_the_workers_own_error(
    serve: Callable[..., Served], archive: str, error: str
) -> None:
    served = serve("--models", f"echo.mar,{archive}")
    assert served.process.wait(120) == 1
    assert served.rest_of_output() == ""
    said = served.errors()
    assert f"The model {archive.removesuffix('.mar')!r} could not start" in said
    assert said.rstrip().endswith(error)


def test_two_servers_run_beside_each_other(serve: Callable[..., Served], tmp_path: Path) -> None:
    works = [tmp_path / "one", tmp_path / "two"]
    servers = [serve("--models", f"{work.name}=echo.mar", "--work", str(work)) for work in works]
    urls = [served.ready_url() for served in servers]
    answers = [
        requests.post(
            f"{url}/predictions/{work.name}", headers=key_of(work, "inference"), timeout=30
        ).text
        for url, work in zip(urls, works, strict=True)
    ]
    assert answers == ["one", "two"]
    foreign = requests.post(
        f"{urls[0]}/predictions/one", headers=key_of(works[1], "inference"), timeout=30
    )
    assert foreign.status_code == 400, "each has keys of its own"
    assert [served.end(signal.SIGTERM) for served in servers] == [0, 0]


def test_other_ports_are_tried_when_a_free_one_was_taken_meanwhile(
    root: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, tries = Ports.settled, []

    def settled_then_taken(wished: Ports) -> Ports:
        tries.append(settle(wished))
        return replace(tries[-1], grpc_inference=taken) if len(tries) == 1 else tries[-1]

    monkeypatch.setattr(Ports, "settled", settled_then_taken)
    with socket.create_server((LOOPBACK, 0)) as listener:
        taken = listener.getsockname()[1]
        with TorchServe(store, config=root / "config.properties") as server:
            assert server.client.models() == []
    assert server.ports == tries[1]


@pytest.mark.parametrize(("ours", "theirs"), [(None, threads_each(2)), ("7", 7)])
def test_workers_share_the_cores_unless_they_are_told_otherwise(
    root: Path, store: Path, monkeypatch: pytest.MonkeyPatch, ours: str | None, theirs: int
) -> None:
    monkeypatch.delenv(THREADS, raising=False)
    if ours is not None:
        monkeypatch.setenv(THREADS, ours)
    model = Model("echo.mar", "echo", workers=2)
    with TorchServe(store, [model], config=root / "config.properties") as server:
        workers = server.client.describe("echo").workers
        told = [psutil.Process(worker.pid).environ().get(THREADS) for worker in workers]
    assert told == [str(theirs)] * 2


@pytest.fixture(scope="module")
def open_server(start_server: Callable[..., TorchServe], store: Path) -> TorchServe:
    return start_server(store, "echo.mar", tokens=False)


def test_without_tokens_nobody_is_asked_for_a_key(open_server: TorchServe) -> None:
    assert requests.post(f"{open_server.url}/predictions/echo", timeout=30).text == "echo"


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ({}, (1, 3, 77)),
        ({"workers": 2, "batch_size": 4, "batch_delay_ms": 9}, (2, 4, 9)),
        ({"batch_size": 1}, (1, 1, 77)),
    ],
)
def test_what_is_asked_for_beats_the_archives_own_settings(
    open_server: TorchServe, asked: dict[str, int], served: tuple[int, int, int]
) -> None:
    name = f"settled-{len(asked)}"
    open_server.register(Model("settled.mar", name, **asked))
    url = f"{open_server.ports.url('management')}/models/{name}"
    (told,) = requests.get(url, timeout=30).json()
    assert all(worker["status"] == "READY" for worker in told["workers"])
    assert (len(told["workers"]), told["batchSize"], told["maxBatchDelay"]) == served


@pytest.mark.parametrize(
    ("address", "refusal"),
    [
        ("http://127.0.0.1:9/m.mar", "does not match any allowed URL"),
        ("file:///m.mar", "does not match any allowed URL"),
        ("../m.mar", "Relative path is not allowed"),
    ],
)
def test_nothing_is_fetched_for_a_caller_of_the_management_api(
    open_server: TorchServe, address: str, refusal: str
) -> None:
    url = f"{open_server.ports.url('management')}/models"
    answer = requests.post(url, params={"url": address}, timeout=30)
    assert answer.status_code == 404
    assert refusal in answer.json()["message"]
