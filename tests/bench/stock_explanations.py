"""Integrated gradients, 15 steps, against /explanations of the stock image_classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import requests
from captum.attr import IntegratedGradients
from tests.bench.in_process import input_of, open_engine, open_plainly
from tests.bench.paired import compare
from tests.bench.photo import photo
from tests.bench.setting import Setting
from tests.bench.table import Report, Row

from servelens.client import KeyFile
from servelens.client.messages import form
from servelens.local import Model, TorchServe

NAME = "stock_explanations"
TITLE = "Integrated gradients, 15 steps (resnet18), against the stock /explanations"
STEPS = 15
# What the stock handler explains: class 0, from a baseline of zeros in normalised values.
KEYS = {
    "explain": {"method": "integrated_gradients", "steps": STEPS, "baseline": "mean"},
    "target": 0,
    "format": "npz",
}


def run(setting: Setting) -> Report:
    setting.build("resnet18")
    models = [
        Model("resnet18.mar", "lens", workers=1),
        Model(setting.stock_archive(), "stock", workers=1),
    ]
    with setting.serving(*models) as (running, server):
        stock = _Stock(running)
        ours = server.ask("lens", photo(), **KEYS)["attributions"][0]["map"]
        expected = np.array(stock.explain().json()).reshape(3, 224, 224).sum(axis=0)
        exact = _in_double_precision(setting)
        errors = _error(ours, exact), _error(expected, exact)
        sizes = _bytes_of(running, KEYS), len(stock.explain().content)
        times = compare(
            lambda: server.ask("lens", photo(), **KEYS), stock.explain, pairs=setting.pairs(12)
        )
    share = sizes[0] / sizes[1]
    return Report(
        NAME,
        TITLE,
        [
            Row(
                "largest error, relative to the map",
                f"{errors[0]:.1e} against {errors[1]:.1e}",
                "≤ 2×",
                errors[0] <= 2 * errors[1],
                "against Captum in float64: random weights leave float32 few digits here",
            ),
            Row("bytes", f"{sizes[0]:,} against {sizes[1]:,}: {share:.1%}", "≤ 5 %", share <= 0.05),
            Row(
                "time",
                f"{times.ours_ms:.0f} ms against {times.theirs_ms:.0f} ms: {times.ratio:.2f}",
                "≤ 0.4",
                times.ratio <= 0.4,
                f"{len(times.ratios)} pairs, middle half {times.spread()}; ours predicts too",
            ),
        ],
    )


class _Stock:
    """The stock handler's own door; its answer is JSON of every number."""

    def __init__(self, running: TorchServe) -> None:
        assert running.key_file is not None
        self._url = f"{running.url}/explanations/stock"
        self._headers = KeyFile(running.key_file).headers("inference")
        self._http = requests.Session()

    def explain(self) -> requests.Response:
        answer = self._http.post(self._url, data=photo(), headers=self._headers, timeout=120)
        answer.raise_for_status()
        return answer


def _in_double_precision(setting: Setting) -> np.ndarray:
    module = open_plainly(setting, "resnet18").double()
    batch = input_of(open_engine(setting, "resnet18")).double()
    (values,) = IntegratedGradients(module).attribute(batch, target=0, n_steps=STEPS)
    return values.sum(0).cpu().numpy()


def _error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def _bytes_of(running: TorchServe, keys: dict[str, Any]) -> int:
    """Of our answer as it comes over the wire."""
    assert running.key_file is not None
    headers = KeyFile(running.key_file).headers("inference")
    url = f"{running.url}/predictions/lens"
    answer = requests.post(url, headers=headers, timeout=120, **form(photo(), keys))
    answer.raise_for_status()
    return len(answer.content)
