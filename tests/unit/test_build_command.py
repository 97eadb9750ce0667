"""Values that the command line sets in a recipe, and a recipe for weights that have none."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
from torchvision import models

from servelens_archives.build import main, with_values
from servelens_archives.errors import BuildError

TABLE = {"name": "a", "input": {"size": 224}}


def test_values_are_set_where_their_keys_say() -> None:
    pairs = [("name", "b"), ("input.mean", [0.5]), ("lens.stages.stem", "conv1")]
    assert with_values(TABLE, pairs) == {
        "name": "b",
        "input": {"size": 224, "mean": [0.5]},
        "lens": {"stages": {"stem": "conv1"}},
    }
    assert TABLE == {"name": "a", "input": {"size": 224}}


def test_a_value_is_no_section() -> None:
    with pytest.raises(BuildError, match=r"name\.first cannot be set, for name is no section"):
        with_values(TABLE, [("name.first", 1)])


@pytest.mark.parametrize("words", ["input.size", "=3", "input..size=3"])
def test_what_is_no_pair_is_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["resnet18", "--set", words])
    assert "is no KEY=VALUE such as input.size=128" in capsys.readouterr().err


def test_a_recipe_is_printed_with_what_was_set(capsys: pytest.CaptureFixture[str]) -> None:
    values = ["--set", "input.size=128", "--set", "title=007 birds"]
    assert main(["resnet18", "--print-recipe", *values]) == 0
    table = tomllib.loads(capsys.readouterr().out)
    assert (table["input"]["size"], table["title"]) == (128, "007 birds")
    assert table["model"]["architecture"] == "resnet18"


@pytest.mark.slow
def test_weights_alone_become_an_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "birds.pt"
    torch.save(models.squeezenet1_1(num_classes=3).state_dict(), file)
    out = ["--out", str(tmp_path / "store"), "--set", "input.size=64"]
    assert main([str(file), *out]) == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'store' / 'birds.mar'}\n"
    assert "all 52 tensors are those of a squeezenet1_1" in said.err
    assert "3 classes" in said.err


@pytest.mark.slow
def test_weights_of_another_architecture_than_said_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "birds.pt"
    torch.save(models.squeezenet1_1(num_classes=3).state_dict(), file)
    assert main([str(file), "--set", "model.architecture=squeezenet1_0"]) == 1
    assert "birds.pt fits no architecture of torchvision's; the nearest is squeezenet1_0" in (
        capsys.readouterr().err
    )
