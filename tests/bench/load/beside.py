"""Predictions with long explanations going on beside them, against the same predictions alone.

Windows of both kinds take turns on one server, with the same threads in the same workers. Once the
explanations have a registration of their own, which steps back (niceness 19), and once they share
the one that predicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.load.asks import EXPLANATION, PREDICTION, Ask, mixed
from tests.bench.load.crowd import press
from tests.bench.load.tally import Tally
from tests.bench.paired import Comparison
from tests.bench.setting import Setting
from tests.bench.table import Row

from servelens.local import Model, TorchServe
from servelens.local.cores import threads_each

PREDICTING, EXPLAINING = 2, 2
WINDOW_S = 20
APART_PAIRS, SHARED_PAIRS = 9, 4
SLOW = 95
MOST = 1.25
LONG = ({"explain": {"method": "integrated_gradients", "steps": 15}},)


@dataclass(frozen=True)
class Found:
    """Seconds at the 95th percentile of predictions, window by window, and what went wrong."""

    p95: Comparison
    windows: Sequence[Tally]

    def __str__(self) -> str:
        return (
            f"{self.p95.ours_ms:.0f} ms against {self.p95.theirs_ms:.0f} ms: "
            f"ratio {self.p95.ratio:.2f}"
        )

    @property
    def pairs(self) -> str:
        return f"{len(self.p95.ratios)} pairs of windows, middle half {self.p95.spread()}"


def run(
    setting: Setting,
    predicting: Model,
    explaining: Model,
    predictions: Sequence[Ask],
    apart: Sequence[Ask],
    shared: Sequence[Ask],
) -> list[Row]:
    """`apart` are explanations for the registration of their own, `shared` for the other."""
    threads = threads_each(2)
    seconds = setting.seconds(WINDOW_S)
    with setting.serving(predicting, explaining, threads=threads) as (running, _):
        in_own = _compare(running, predictions, apart, setting.pairs(APART_PAIRS), seconds)
        in_one = _compare(running, predictions, shared, setting.pairs(SHARED_PAIRS), seconds)
    windows = [*in_own.windows, *in_one.windows]
    wrong = sum(window.complaints.total() for window in windows)
    asked = sum(len(window) for window in windows)
    what = "p95 of predictions beside explanations, against predictions alone"
    return [
        Row(
            f"{what}: two registrations",
            str(in_own),
            f"≤ {MOST}",
            in_own.p95.ratio <= MOST,
            f"{in_own.pairs}, {seconds:.0f} s each; {threads} thread a worker, {PREDICTING} "
            f"clients predict, {EXPLAINING} ask for integrated gradients of 15 steps",
        ),
        Row(f"{what}: one registration", str(in_one), "told only", True, in_one.pairs),
        Row(
            "answers that were not right in these windows",
            f"{wrong} of {asked:,}",
            "0",
            wrong == 0,
            "; ".join(window.named for window in windows if window.complaints),
        ),
    ]


def _compare(
    running: TorchServe,
    predictions: Sequence[Ask],
    explanations: Sequence[Ask],
    pairs: int,
    seconds: float,
) -> Found:
    predict = [mixed({PREDICTION: predictions}, seed) for seed in range(PREDICTING)]
    explain = [mixed({EXPLANATION: explanations}, seed) for seed in range(EXPLAINING)]
    press(running, [*predict, *explain], seconds)  # chunk sizes are tried, caches filled
    windows = [
        press(running, clients, seconds)
        for _ in range(pairs)
        for clients in (predict, [*predict, *explain])
    ]
    slow = [window.of(PREDICTION).percentile(SLOW) for window in windows]
    return Found(Comparison(ours=tuple(slow[1::2]), theirs=tuple(slow[0::2])), windows)
