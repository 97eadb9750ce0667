"""A bare prediction against TorchServe's own image_classifier: same server, same weights."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from tests.bench.in_process import input_of, open_engine
from tests.bench.paired import Comparison, compare
from tests.bench.photo import photo
from tests.bench.setting import Setting
from tests.bench.table import Report, Row

from servelens.client import KeyFile, Server
from servelens.local import Model, TorchServe
from servelens.protocol import read_request

NAME = "predict_vs_stock"
TITLE = "A bare prediction (resnet18, 640×480 JPEG), against the stock image_classifier"
CLIENTS = 8
CALLS_PER_CLIENT = 12
BATCH = 8


def run(setting: Setting) -> Report:
    setting.build("resnet18")
    stock = setting.stock_archive()
    single = [Model("resnet18.mar", "lens", workers=1), Model(stock, "stock", workers=1)]
    with setting.serving(*single) as (_, server):
        worst = _largest_difference(server)
        latency = compare(
            lambda: server.classify("lens", photo()),
            lambda: server.classify("stock", photo()),
            pairs=setting.pairs(120),
            warm_up=10,
        )
    batched = [
        Model("resnet18.mar", "lens", workers=1, batch_size=BATCH, batch_delay_ms=5),
        Model(stock, "stock", workers=1, batch_size=BATCH, batch_delay_ms=5),
    ]
    with setting.serving(*batched) as (running, _):
        throughput = compare(
            _load(running, "lens"), _load(running, "stock"), pairs=setting.pairs(16), warm_up=1
        )
    rows = [_same(worst), _latency_row(latency), _throughput_row(throughput), _bound(setting)]
    return Report(NAME, TITLE, rows)


def _largest_difference(server: Server) -> float:
    ours, theirs = server.classify("lens", photo()), server.classify("stock", photo())
    return max(abs(a - b) for a, b in zip(ours.values(), theirs.values(), strict=True))


def _load(running: TorchServe, model: str) -> Callable[[], None]:
    """Eight clients, each with its own connection, that ask as fast as they are answered."""
    assert running.key_file is not None
    servers = [Server(running.url, keys=KeyFile(running.key_file)) for _ in range(CLIENTS)]

    def ask(server: Server) -> None:
        for _ in range(CALLS_PER_CLIENT):
            server.classify(model, photo())

    def load() -> None:
        threads = [threading.Thread(target=ask, args=(server,)) for server in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return load


def _bound(setting: Setting) -> Row:
    """What is left of a full batch's time where all but the forward pass cost nothing."""
    session = open_engine(setting, "resnet18")
    requests = [read_request({}, photo()) for _ in range(BATCH)]
    batch = input_of(session).repeat(BATCH, 1, 1, 1).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        found = compare(
            lambda: session.run(requests),
            lambda: session.model.twin.module(batch),
            pairs=setting.pairs(24),
        )
    return Row(
        f"all of a batch of {BATCH} against its forward pass alone, in process",
        f"{found.ours_ms / BATCH:.1f} ms against {found.theirs_ms / BATCH:.1f} ms an image: "
        f"ratio {found.ratio:.2f}",
        "told only",
        True,
        f"{len(found.ratios)} pairs, middle half {found.spread()}",
    )


def _same(worst: float) -> Row:
    return Row("largest difference in probability", f"{worst:.1e}", "≤ 1e-5", worst <= 1e-5)


def _latency_row(found: Comparison) -> Row:
    return Row(
        "latency, batch size 1",
        f"{found.ours_ms:.1f} ms against {found.theirs_ms:.1f} ms: ratio {found.ratio:.2f}",
        "≤ 1.00",
        found.ratio <= 1.0,
        f"{len(found.ratios)} pairs, middle half {found.spread()}",
    )


def _throughput_row(found: Comparison) -> Row:
    calls = CLIENTS * CALLS_PER_CLIENT
    times = 1 / found.ratio
    return Row(
        f"throughput, {CLIENTS} clients, batch size {BATCH}, delay 5 ms",
        f"{calls / (found.ours_ms / 1000):.1f}/s against {calls / (found.theirs_ms / 1000):.1f}/s: "
        f"{times:.2f}×",
        "≥ 1.2×, aim 1.5×",
        times >= 1.2,
        f"{len(found.ratios)} pairs of {calls} calls, ratio of times {found.spread()}",
    )
