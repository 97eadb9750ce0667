"""More requests at once than the queue has room for: who is let in is answered, the others told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.bench.load.asks import EXPLANATION, PREDICTION, Ask, mixed
from tests.bench.load.crowd import QUEUE_FULL, press
from tests.bench.setting import Setting
from tests.bench.table import Row

from servelens.local import Model
from servelens.local.cores import threads_each

ROOM = 4
CLIENTS = 32
SECONDS = 30


def run(setting: Setting, archive: str, name: str, asks: Mapping[str, Sequence[Ask]]) -> list[Row]:
    valid = {kind: asks[kind] for kind in (PREDICTION, EXPLANATION)}
    small = {"job_queue_size": str(ROOM)}
    model, threads = Model(archive, name, workers=1), threads_each(1)
    with setting.serving(model, settings=small, threads=threads) as (running, _):
        crowd = [mixed(valid, seed) for seed in range(CLIENTS)]
        tally = press(running, crowd, setting.seconds(SECONDS))
        after = press(running, [[ask] for ask in valid[PREDICTION]], seconds=1)
    accepted = tally.without(lambda complaint: complaint == QUEUE_FULL)
    refused = len(tally) - len(accepted)
    wrong = accepted.complaints.total()
    left = after.complaints.total()
    what = f"{CLIENTS} clients, room for {ROOM}"
    return [
        Row(
            f"{what}: refused with 503 and TorchServe's sentence",
            f"{refused:,} of {len(tally):,}",
            "more than 0",
            refused > 0,
            "who was refused waits 100 ms and asks again",
        ),
        Row(
            f"{what}: let in and not answered rightly",
            f"{wrong} of {len(accepted):,}" + (f": {accepted.named}" if wrong else ""),
            "0",
            wrong == 0 and len(accepted) > 0,
            f"{accepted.rate:.1f}/s for {tally.seconds:.0f} s; p50 / p95 / p99 "
            f"{accepted.latency} ms",
        ),
        Row(
            f"{what}: wrong answers when it is over",
            f"{left} of {len(after)}",
            "0",
            left == 0 and len(after) > 0,
            after.named,
        ),
    ]
