"""Registering, keys and processes: what TorchServe does around a worker."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests
from lens_caller import PATIENCE_S, Lens, form, raw
from lens_fixtures import MODELS, ROWS_DELAY_MS
from lens_pictures import photo

from servelens.client import KeyFile, LensProblem, NoKey, Refused, Server
from servelens.local import Model, ModelFailed

PHOTO = photo(0)


def refusal(*arguments: object) -> int:
    """The status of the Refused that this call raises."""
    call, *rest = arguments
    with pytest.raises(Refused) as refused:
        call(*rest)  # type: ignore[operator]
    assert type(refused.value) is Refused, "TorchServe said so, not the archive"
    return refused.value.status


def test_the_code_that_runs_is_the_archives(lens: Lens, shadow: Path) -> None:
    """Fact 15: the server's PYTHONPATH comes before the archive's folder on the worker's path."""
    (pid,) = lens.pids("tiny")
    first, *_ = psutil.Process(pid).environ()["PYTHONPATH"].split(":")
    assert Path(first) == shadow
    with pytest.raises(ImportError, match="not of the archive"):
        exec((shadow / "servelens" / "__init__.py").read_text())
    assert len(lens.bare(PHOTO)) == 5


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (
            "servelens/torchserve/handler.py",
            None,
            "the archive's code cannot be imported: No module named 'servelens.torchserve.handler'",
        ),
        (
            "model-config.yaml",
            b"servelens: {nice: 20}",
            "model-config.yaml: servelens.nice must be an integer from 0 to 19",
        ),
    ],
    ids=["code", "settings"],
)
def test_an_archive_that_cannot_start_says_why_and_is_gone_again(
    lens: Lens, lens_store: Path, file: str, content: bytes | None, said: str
) -> None:
    """Facts 14 and 20: by itself TorchServe tells of a missing ts.torch_handler.lens_handler, and
    after a RuntimeError it keeps a model that has no worker, whose name is then taken."""
    broken = lens_store / "broken.mar"
    repack(lens_store / "tiny.mar", broken, {file: content})
    with pytest.raises(ModelFailed) as failed:
        lens.server.register(Model(broken.name, "broken"))
    assert said in failed.value.worker_error
    assert isinstance(failed.value.__cause__, Refused)
    assert failed.value.__cause__.status == 500
    assert "broken" not in lens.server.client.models()


def repack(source: Path, target: Path, changed: Mapping[str, bytes | None]) -> None:
    """The same archive, but for these files; None leaves one out."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(target, "w") as packed:
        assert set(changed) <= set(whole.namelist())
        for name in whole.namelist():
            content = changed.get(name, whole.read(name))
            if content is not None:
                packed.writestr(name, content)


def test_what_cannot_be_registered_is_refused_with_a_status(lens: Lens) -> None:
    """Fact 20."""
    client = lens.server.client
    assert refusal(client.register, "tiny.mar", "tiny") == 409
    assert refusal(client.register, "none.mar", "none") == 404
    assert refusal(client.register, "http://127.0.0.1:9/x.mar", "none") == 404
    assert refusal(client.unregister, "none") == 404
    assert refusal(client.describe, "none") == 404
    assert refusal(client.scale, "none", 1) == 404
    assert refusal(client.classify, "none", PHOTO) == 404
    assert sorted(client.models()) == sorted(MODELS)


def test_a_problem_of_the_archives_own_is_told_apart_from_a_refusal(lens: Lens) -> None:
    with pytest.raises(LensProblem) as told:
        lens.server.client.ask("tiny", PHOTO, explain="gradcam")
    assert (told.value.status, told.value.problem["type"]) == (400, "unknown_method")
    assert "did you mean" in str(told.value)


def test_a_model_is_registered_by_query_parameters_and_gone_after_a_delete(lens: Lens) -> None:
    """Facts 20 and 21: without a worker it is there, and refuses with a status of its own."""
    client = lens.server.client
    client.register("tiny.mar", "idle", workers=0, batch_size=3, max_batch_delay=7)
    try:
        assert delay_of(lens, "idle") == 7
        assert refusal(client.classify, "idle", PHOTO) == 503
    finally:
        client.unregister("idle")
    assert "idle" not in client.models()
    assert refusal(client.unregister, "idle") == 404


def test_a_json_body_would_set_the_batch_delay_to_nonsense(lens: Lens) -> None:
    """Fact 20: why the client does not send one."""
    requests.post(
        f"{lens.server.ports.url('management')}/models",
        json={"url": "tiny.mar", "model_name": "json", "initial_workers": 0},
        headers=lens.server.authorization("management"),
        timeout=PATIENCE_S,
    ).raise_for_status()
    try:
        assert delay_of(lens, "json") == -10000
    finally:
        lens.server.client.unregister("json")


def delay_of(lens: Lens, model: str) -> int:
    (told,) = requests.get(
        f"{lens.server.ports.url('management')}/models/{model}",
        headers=lens.server.authorization("management"),
        timeout=PATIENCE_S,
    ).json()
    return int(told["maxBatchDelay"])


def test_one_archive_under_two_names_has_two_queues(lens: Lens) -> None:
    """Fact 22: while `rows` waits for more to come, `tiny` answers."""
    assert set(lens.pids("tiny")).isdisjoint(lens.pids("rows"))
    with ThreadPoolExecutor(1) as other:
        for _ in range(5):
            waiting = other.submit(lens.bare, PHOTO, "rows")
            quick = lens.bare(PHOTO, "tiny")
            overtook = not waiting.done()
            assert waiting.result() == pytest.approx(quick, abs=1e-5)
            if overtook:
                return
    raise AssertionError("the second name never answered while the first one waited")


def test_a_lone_row_pays_for_a_batch_that_does_not_fill(lens: Lens) -> None:
    """Fact 28."""
    assert fastest(lens, "rows") >= ROWS_DELAY_MS / 1000 > fastest(lens, "tiny")


def fastest(lens: Lens, model: str) -> float:
    times = []
    for _ in range(3):
        started = time.monotonic()
        lens.bare(PHOTO, model)
        times.append(time.monotonic() - started)
    return min(times)


def test_the_capability_document_of_the_management_api_wants_the_management_key(lens: Lens) -> None:
    """Fact 19: who has only the inference key asks with `describe`."""
    url = f"{lens.server.ports.url('management')}/models/tiny?customized=true"
    assert requests.get(url, headers=lens.server.authorization(), timeout=30).status_code == 400
    assert lens.ask(form(describe=True)).status_code == 200


def test_the_metrics_door_wants_no_key_and_counts_rows_and_problems(lens: Lens) -> None:
    """Facts 19 and 23."""
    before = counters(lens)
    assert lens.ask(raw(PHOTO)).status_code == 200
    assert lens.ask(raw(b"no picture")).status_code == 400
    deadline = time.monotonic() + 10
    while counters(lens)["LensRows"] < before["LensRows"] + 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    after = counters(lens)
    assert after["LensRows"] == before["LensRows"] + 2
    assert after["LensProblems"] == before["LensProblems"] + 1


def counters(lens: Lens) -> dict[str, float]:
    """Those of the registration `tiny`; metrics know the model by that name."""
    page = requests.get(f"{lens.server.ports.url('metrics')}/metrics", timeout=30).text
    lines = [line for line in page.splitlines() if line.startswith("Lens")]
    ours = [line for line in lines if 'ModelName="tiny"' in line]
    return {line.split("{")[0]: float(line.rsplit(" ", 1)[1]) for line in ours}


def test_a_key_that_was_changed_is_read_from_the_file(lens: Lens) -> None:
    """Fact 19: the new key is in the file and nowhere else."""
    key_file = lens.server.key_file
    assert key_file is not None
    former = lens.server.authorization()
    changer = json.loads(key_file.read_text())["API"]["key"]
    requests.get(
        f"{lens.server.ports.url('management')}/token",
        params={"type": "inference"},
        headers={"Authorization": f"Bearer {changer}"},
        timeout=30,
    ).raise_for_status()
    assert lens.server.authorization() != former
    assert lens.server.client.health() == "Healthy"
    late = requests.get(f"{lens.server.url}/ping", headers=former, timeout=30)
    assert late.status_code == 400


def test_a_client_without_its_keys_says_which_file_it_wanted(lens: Lens, tmp_path: Path) -> None:
    with (
        Server(lens.server.url, keys=KeyFile(tmp_path / "keys.json")) as client,
        pytest.raises(NoKey, match="keys.json"),
    ):
        client.health()
