"""Predictions, explanations and bad requests at once, fewer of them than the queue has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.load.asks import BAD, EXPLANATION, PREDICTION, Ask, mixed
from tests.bench.load.crowd import press
from tests.bench.load.memory import SETTLING, Watch
from tests.bench.load.tally import Tally
from tests.bench.setting import Setting
from tests.bench.table import Row

from servelens.local import Model, TorchServe
from servelens.local.cores import threads_each

WORKERS = (1, 2)
CLIENTS = (8, 32)
SECONDS = 600
MOST_GROWTH = 0.02


@dataclass(frozen=True)
class Found:
    """One run: the tally, each worker's MiB and their growth, and how many were replaced."""

    clients: int
    workers: int
    tally: Tally
    growth: Sequence[tuple[float, float]]
    replaced: int

    @property
    def name(self) -> str:
        return f"{self.clients} clients, {self.workers} worker{'s' if self.workers > 1 else ''}"


def run(setting: Setting, archive: str, name: str, asks: Mapping[str, Sequence[Ask]]) -> list[Row]:
    rows = []
    for workers in WORKERS:
        model = Model(archive, name, workers=workers)
        with setting.serving(model, threads=threads_each(workers)) as (running, _):
            for clients in CLIENTS:
                rows += _rows(_found(running, name, asks, clients, setting.seconds(SECONDS)))
    return rows


def _found(
    running: TorchServe,
    name: str,
    asks: Mapping[str, Sequence[Ask]],
    clients: int,
    seconds: float,
) -> Found:
    before = _pids(running, name)
    with Watch(before) as watch:
        tally = press(running, [mixed(asks, seed) for seed in range(clients)], seconds)
    replaced = set(before) - set(_pids(running, name))
    return Found(clients, len(before), tally, watch.growth(), len(replaced))


def _pids(running: TorchServe, name: str) -> list[int]:
    return [worker.pid for worker in running.client.describe(name).workers]


def _rows(found: Found) -> list[Row]:
    return [_answers(found), _latencies(found), _memory(found), _workers(found)]


def _answers(found: Found) -> Row:
    tally = found.tally
    valid, bad = tally.of(PREDICTION, EXPLANATION), tally.of(BAD)
    wrong = valid.complaints.total(), bad.complaints.total()
    return Row(
        f"{found.name}: answers that were not right",
        f"{wrong[0]} of {len(valid):,} to valid requests, {wrong[1]} of {len(bad):,} to bad ones"
        + (f": {tally.named}" if any(wrong) else ""),
        "0",
        wrong == (0, 0) and bool(valid and bad),
        f"{tally.rate:.1f}/s for {tally.seconds:.0f} s; {len(tally.of(EXPLANATION)):,} were "
        f"explanations; the clients took {tally.busy:.0%} of a core",
    )


def _latencies(found: Found) -> Row:
    told = (f"{kind} {found.tally.of(kind).latency}" for kind in (PREDICTION, EXPLANATION, BAD))
    return Row(
        f"{found.name}: p50 / p95 / p99",
        "; ".join(told),
        "told only",
        True,
        "ms, with the time in the queue; each client asks again as soon as it is answered",
    )


def _memory(found: Found) -> Row:
    told = ", ".join(f"{size:.0f} MiB, then {more:+.1f}" for size, more in found.growth)
    settled = max(1.0, len(found.tally) * (1 - SETTLING))
    grown = sum(more for _, more in found.growth) * 1024 / settled
    return Row(
        f"{found.name}: resident memory of each worker",
        told,
        "no growth (within 2 %)",
        all(more <= MOST_GROWTH * size for size, more in found.growth),
        f"{grown:+.2f} KiB a request, by a straight line through all but the first fifth",
    )


def _workers(found: Found) -> Row:
    died = found.replaced
    return Row(f"{found.name}: workers that were replaced", str(died), "0", died == 0, "by pid")
