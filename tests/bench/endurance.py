"""A thousand mixed requests: nothing may be left on the model, nor grow in the worker."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import psutil
from tests.bench.in_process import hooks_left
from tests.bench.photo import photo
from tests.bench.setting import Setting
from tests.bench.table import Report, Row

from servelens.client import LensProblem
from servelens.engine.session import Session
from servelens.local import Model
from servelens.protocol import Problem, read_request

NAME = "endurance"
TITLE = "1,000 mixed requests to one worker (shapes-clean)"
REQUESTS = 1000
SETTLED_AFTER = 200
MEBIBYTE = 2**20

MIX: tuple[dict[str, Any], ...] = (
    {},
    {"explain": "grad_cam"},
    {"explain": ["grad_cam", "saliency"], "target": "top:3"},
    {"activations": True},
    {"explain": {"method": "grad_cam", "layers": ["*"]}, "activations": "*"},
    {"explain": "saliency", "format": "npz"},
    {"explain": "no_such_method"},
    {"activations": {"layers": ["*"], "sort_by": "relevance", "channels": 4}},
)


def run(setting: Setting) -> Report:
    setting.build("shapes-clean")
    with setting.serving(Model("shapes-clean.mar", "shapes", workers=1)) as (_, server):
        process = psutil.Process(server.describe("shapes").workers[0].pid)
        sizes = []
        for keys in _mix():
            try:
                server.ask("shapes", photo(), **keys)
            except LensProblem as problem:
                assert problem.problem["type"] == "unknown_method", problem
            sizes.append(process.memory_info().rss / MEBIBYTE)
    settled, last = sizes[SETTLED_AFTER], max(sizes[-50:])
    hooks = _hooks_left(setting)
    return Report(
        NAME,
        TITLE,
        [
            Row("hooks left on the model", str(hooks), "0", hooks == 0, "the same mix, in process"),
            Row(
                "resident memory of the worker",
                f"{settled:.0f} MiB after {SETTLED_AFTER}, {last:.0f} MiB after {REQUESTS}",
                "no growth (within 2 %)",
                last <= settled * 1.02,
                f"{(last - settled) / (REQUESTS - SETTLED_AFTER) * 1024:.1f} KiB a request",
            ),
        ],
    )


def _mix() -> Iterator[dict[str, Any]]:
    return itertools.islice(itertools.cycle(MIX), REQUESTS)


def _hooks_left(setting: Setting) -> int:
    session = Session.load(setting.folder("shapes-clean"), setting.device)
    for keys in _mix():
        plain = {name: value for name, value in keys.items() if name != "format"}
        (answer,) = session.run([read_request(plain, photo())])
        assert not isinstance(answer, Problem) or answer.type == "unknown_method", answer
    return hooks_left(session)
