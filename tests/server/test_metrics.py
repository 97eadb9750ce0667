"""docs/metrics.yaml in use: what a scraper finds on the metrics door, against what was asked.

TorchServe drops a handler's metrics that its metrics_config does not list, and detects none here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ts
import yaml
from lens_caller import PATIENCE_S, Call, Lens, form, raw
from lens_pictures import photo

from servelens.local import TorchServe
from servelens_dashboard.gauges import Gauges, Reading

PHOTO = photo(0)
TWO = ["grad_cam", "saliency"]
ASKED: list[tuple[Call, int]] = [
    *[(raw(PHOTO), 200)] * 3,
    *[(form(PHOTO, explain="grad_cam"), 200)] * 2,
    (form(PHOTO, explain=TWO), 200),
    (form(PHOTO, explain="no_such_method"), 400),
    (raw(b"no picture"), 400),
    (form(PHOTO, door="explanations", explain="saliency", format="npz"), 200),
]
THEIRS = "ts_inference_requests_total"
BY_METHOD = {"none", "grad_cam", "several", "saliency"}


@pytest.fixture(scope="module", params=["alone", "beside TorchServe's own"])
def metrics_config(
    request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    fragment = root / "docs" / "metrics.yaml"
    if request.param == "alone":
        return fragment
    target = tmp_path_factory.mktemp("metrics") / "metrics.yaml"
    theirs = Path(ts.__file__).parent / "configs" / "metrics.yaml"
    together: Any = yaml.safe_load(theirs.read_text())
    for kind, entries in yaml.safe_load(fragment.read_text())["model_metrics"].items():
        together["model_metrics"].setdefault(kind, []).extend(entries)
    target.write_text(yaml.safe_dump(together))
    return target


@pytest.fixture(scope="module")
def lens(
    root: Path, lens_store: Path, start_server: Callable[..., TorchServe], metrics_config: Path
) -> Any:
    settings = {
        "metrics_mode": "prometheus",
        "model_metrics_auto_detect": "false",
        "metrics_config": str(metrics_config),
    }
    server = start_server(lens_store, "tiny.mar", settings=settings)
    yield Lens(server, root / "docs" / "schemas")
    server.front_end.stop()


def test_what_is_found_is_what_was_asked(lens: Lens, metrics_config: Path) -> None:
    answers = [lens.ask(call) for call, _ in ASKED]
    assert [answer.status_code for answer in answers] == [status for _, status in ASKED]
    found = settled(lens, len(ASKED))
    refused = sum(status == 400 for _, status in ASKED)
    assert counts(found) == {
        "LensRows": len(ASKED),
        "LensProblems": refused,
        "LensInvalid": refused,
        "LensBytes": sum(len(answer.content) for answer in answers),
        "LensMemoryRetries": 0,
    }
    times = [reading for reading in found if reading.name == "LensMethodTime"]
    assert {reading.labels["Method"] for reading in times} == BY_METHOD
    assert all(reading.value > 0 for reading in times)
    (engine,) = [reading for reading in found if reading.name == "LensEngineTime"]
    assert engine.value > 0
    for reading in found:
        more = {"Method"} if reading.name == "LensMethodTime" else set()
        assert reading.labels.keys() == {"ModelName", "Level", "Hostname", *more}
        assert (reading.labels["ModelName"], reading.labels["Level"]) == ("tiny", "Model")
    theirs = Gauges.at(lens.server.ports.url("metrics")).total(THEIRS)
    assert theirs == (len(ASKED) if THEIRS in metrics_config.read_text() else None)


def settled(lens: Lens, rows: int) -> list[Reading]:
    """Ours, once all rows are counted: the page lags behind the answers."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        page = Gauges.at(lens.server.ports.url("metrics"))
        found = [reading for reading in page.readings if reading.name.startswith("Lens")]
        if counts(found).get("LensRows") == rows and "LensEngineTime" in {r.name for r in found}:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def counts(found: list[Reading]) -> dict[str, float]:
    return {
        reading.name: reading.value
        for reading in found
        if reading.name not in ("LensMethodTime", "LensEngineTime")
    }
