"""Occlusion of resnet18, window 32, stride 16: alone against Captum, and for many callers."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch
from captum.attr import Occlusion
from tests.bench.in_process import ask, input_of, open_engine, open_plainly
from tests.bench.paired import Comparison, compare
from tests.bench.photo import photo
from tests.bench.setting import Setting
from tests.bench.table import Report, Row

from servelens.client import Server
from servelens.local import Model

NAME = "occlusion"
TITLE = "Occlusion (resnet18, window 32, stride 16, 169 places), against Captum"
WINDOW, STRIDE = 32, 16
AT_ONCE = (1, 4, 8, 16, 32)
CALLERS = 8
KEYS = {"explain": {"method": "occlusion", "window": WINDOW, "stride": STRIDE}, "target": 281}


def run(setting: Setting) -> Report:
    session = open_engine(setting, "resnet18")
    theirs = _by_captum(setting, input_of(session))
    ours = ask(session, **KEYS).attributions[0].map
    assert ours is not None
    expected = theirs(AT_ONCE[0])()
    difference = float(np.abs(ours - expected).max() / np.abs(expected).max())
    rows = [
        Row(
            "largest difference, relative to the map",
            f"{difference:.1e}",
            "≤ 1e-4",
            difference <= 1e-4,
        )
    ]
    found = {
        count: compare(
            lambda: ask(session, **KEYS), theirs(count), pairs=setting.pairs(4), warm_up=1
        )
        for count in AT_ONCE
    }
    best = min(found, key=lambda count: found[count].theirs_ms)
    rows.append(_time_row(found[best], best))
    rows.append(_callers_row(setting))
    return Report(NAME, TITLE, rows)


def _by_captum(setting: Setting, batch: torch.Tensor) -> Callable[[int], Callable[[], np.ndarray]]:
    occlusion = Occlusion(open_plainly(setting, "resnet18"))

    def with_batches_of(count: int) -> Callable[[], np.ndarray]:
        def work() -> np.ndarray:
            with torch.inference_mode():
                values = occlusion.attribute(
                    batch,
                    sliding_window_shapes=(3, WINDOW, WINDOW),
                    strides=(3, STRIDE, STRIDE),
                    target=KEYS["target"],
                    perturbations_per_eval=count,
                )
            return values[0, 0].cpu().numpy()

        return work

    return with_batches_of


def _time_row(found: Comparison, best: int) -> Row:
    return Row(
        "time",
        f"{found.ours_ms:.0f} ms against {found.theirs_ms:.0f} ms: {found.ratio:.2f}",
        "≤ 1.00",
        found.ratio <= 1.0,
        f"{len(found.ratios)} pairs, middle half {found.spread()}; Captum at its best of "
        f"{', '.join(map(str, AT_ONCE))} windows at once, {best}",
    )


def _callers_row(setting: Setting) -> Row:
    with setting.serving(Model("resnet18.mar", "lens", workers=1)) as (_, server):
        found = compare(
            lambda: _together(server), lambda: _in_turn(server), pairs=setting.pairs(4), warm_up=1
        )
    throughput = 1 / found.ratio
    wanted = 1.0 if setting.device == "cuda" else 0.95
    return Row(
        f"{CALLERS} callers at once on one worker, against one after the other",
        f"throughput {throughput:.2f}×",
        f"≥ {wanted:g}×",
        throughput >= wanted,
        f"{len(found.ratios)} pairs of {CALLERS} calls, ratio of times {found.spread()}",
    )


def _ask(server: Server) -> None:
    server.ask("lens", photo(), **KEYS)


def _in_turn(server: Server) -> None:
    for _ in range(CALLERS):
        _ask(server)


def _together(server: Server) -> None:
    threads = [threading.Thread(target=_ask, args=(server,)) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
