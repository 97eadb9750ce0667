"""scripts/smoke: whether a running server does what an archive promises, whoever runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from servelens.local import TorchServe

ALL = ("health", "tiny: describe", "tiny: predict", "tiny: explain")


def smoke(root: Path, *words: str) -> tuple[int, list[str]]:
    command = [root / "scripts" / "smoke", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout.splitlines()


def of(server: TorchServe, *words: str) -> list[str]:
    management = server.ports.url("management")
    return [server.url, "--management", management, "--keys", str(server.key_file), *words]


def test_a_server_that_does_all_of_it(root: Path, lens_server: TorchServe) -> None:
    code, said = smoke(root, *of(lens_server, "--model", "tiny"))
    assert code == 0, said
    assert all(
        line.startswith(f"ok    {name}: ") for name, line in zip(ALL, said[:-1], strict=True)
    )
    assert said[-1] == "all checks passed"


@pytest.mark.parametrize("model", ["stock", "nobody"])
def test_what_is_not_done_is_said_and_the_rest_is_asked(
    root: Path, lens_server: TorchServe, model: str
) -> None:
    code, said = smoke(root, *of(lens_server, "--model", model, "--model", "tiny"))
    assert code == 1
    assert [line for line in said if line.startswith(f"FAIL  {model}: ")]
    assert [line for line in said if line.startswith("ok    tiny: explain: ")]
    assert said[-1].endswith("of the checks failed")
