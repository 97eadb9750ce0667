"""scripts/smoke: whether a running server does what an archive promises, whoever runs it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from servelens.local import Model, TorchServe

ALL = ("health", "models", "tiny: describe", "tiny: predict", "tiny: explain")


def smoke(root: Path, *words: str, **environ: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [root / "scripts" / "smoke", *words],
        env={**os.environ, "SERVELENS_MANAGEMENT_URL": "", **environ},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout.splitlines()


def of(server: TorchServe, *words: str) -> list[str]:
    management = server.ports.url("management")
    return [server.url, "--management", management, "--keys", str(server.key_file), *words]


def test_a_server_that_does_all_of_it(root: Path, lens_server: TorchServe) -> None:
    assert_all_passed(*smoke(root, *of(lens_server, "--model", "tiny")))


def test_all_models_that_are_listed_are_asked_and_an_empty_server_passes_nothing(
    root: Path, lens_store: Path, start_server: Callable[..., TorchServe]
) -> None:
    server = start_server(lens_store)
    code, said = smoke(root, *of(server))
    assert code == 1
    assert said == [
        "ok    health: Healthy",
        "ok    models: none is registered",
        "FAIL  predict and explain: no model was checked; register one, or name with --model one "
        "that is there",
        "1 of the checks failed",
    ]
    server.register(Model.parse("tiny.mar"))
    assert_all_passed(*smoke(root, *of(server)))


def test_without_a_management_address_a_model_has_to_be_named(
    root: Path, lens_server: TorchServe
) -> None:
    code, said = smoke(root, lens_server.url, "--keys", str(lens_server.key_file))
    assert code == 1
    assert said[0].startswith("ok    health: ")
    assert said[1].startswith("FAIL  predict and explain: no model was checked; name one with ")
    assert len(said) == 3


def test_the_key_file_is_known_from_the_environment(root: Path, lens_server: TorchServe) -> None:
    asked = (lens_server.url, "--model", "tiny")
    code, said = smoke(root, *asked, SERVELENS_KEY_FILE=str(lens_server.key_file))
    assert (code, said[-1]) == (0, "all checks passed"), said
    code, said = smoke(root, *asked, SERVELENS_KEY_FILE="")
    assert (code, said[-1]) == (1, "4 of the checks failed"), said


def test_the_management_address_is_known_from_the_environment(
    root: Path, lens_server: TorchServe
) -> None:
    asked = (lens_server.url, "--model", "tiny", "--keys", str(lens_server.key_file))
    management = lens_server.ports.url("management")
    assert_all_passed(*smoke(root, *asked, SERVELENS_MANAGEMENT_URL=management))
    elsewhere = ("--management", management)
    assert_all_passed(*smoke(root, *asked, *elsewhere, SERVELENS_MANAGEMENT_URL=lens_server.url))


def assert_all_passed(code: int, said: list[str]) -> None:
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
