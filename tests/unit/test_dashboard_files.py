"""Dropped files: kept whole or not at all, under a cap, never outside their folder; and recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from servelens_dashboard.running import NotDone
from servelens_dashboard.workshop import recipe_form, recipes
from servelens_dashboard.workshop.builder import Builder, why
from servelens_dashboard.workshop.drawer import BadFile, Drawer, Item, file_name

KILOBYTE = 1000


@pytest.fixture
def drawer(tmp_path: Path) -> Drawer:
    return Drawer(tmp_path / "files", 3 * KILOBYTE, 2 * KILOBYTE)


def put(drawer: Drawer, content: bytes, called: str = "birds.pt") -> Item:
    with drawer.receive(called) as arrival:
        arrival.add(content[:10])
        arrival.add(content[10:])
        return arrival.close()


def left_over(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "files").iterdir() if path.is_file()]


# -------------------------------------------------------------------------------------- the drawer


def test_a_file_comes_back_by_its_content(drawer: Drawer) -> None:
    item = put(drawer, b"x" * 100)
    assert drawer.find(item.name).file.read_bytes() == b"x" * 100
    assert item.file.name == "birds.pt"
    assert put(drawer, b"x" * 100, "again.pt") == item
    assert drawer.items() == [item]


def test_what_breaks_off_leaves_nothing(drawer: Drawer, tmp_path: Path) -> None:
    with drawer.receive("birds.pt") as arrival:
        arrival.add(b"half of it")
    assert drawer.items() == [] and left_over(tmp_path) == []


def test_what_was_broken_off_with_the_dashboard_is_swept_up(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "0123.part").write_bytes(b"half")
    Drawer(tmp_path / "files", KILOBYTE, KILOBYTE)
    assert left_over(tmp_path) == []


def test_a_file_that_is_too_large_is_refused_as_soon_as_it_is(
    drawer: Drawer, tmp_path: Path
) -> None:
    with pytest.raises(BadFile, match="more than 2e-06 GB, the most that is taken"):
        put(drawer, b"x" * 2001)
    assert drawer.items() == [] and left_over(tmp_path) == []


def test_none_makes_room_for_another(drawer: Drawer) -> None:
    first = put(drawer, b"x" * 1800)
    with pytest.raises(BadFile, match="Remove one that is no longer needed"):
        put(drawer, b"y" * 1300)
    drawer.remove(first.name)
    assert put(drawer, b"y" * 1300)


def test_files_that_come_at_once_share_the_room(drawer: Drawer) -> None:
    with drawer.receive("a.pt") as one, drawer.receive("b.pt") as other:
        one.add(b"x" * 1600)
        with pytest.raises(BadFile, match="Remove one that is no longer needed"):
            other.add(b"y" * 1600)


def test_nothing_is_no_file(drawer: Drawer) -> None:
    with pytest.raises(BadFile, match="empty"):
        put(drawer, b"")


@pytest.mark.parametrize("name", ["..", "../x", "", "/etc", "0" * 31, "0" * 32, "g" * 32])
def test_a_name_reaches_no_other_folder(drawer: Drawer, tmp_path: Path, name: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "secret.pt").write_bytes(b"s")
    with pytest.raises(BadFile, match="no longer kept"):
        drawer.find(name)


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("My Birds (1).PT", "My-Birds-1.pt"),
        ("../../etc/passwd.pth", "passwd.pth"),
        ("C:\\models\\net.pt", "net.pt"),
        (".pt.pt", "pt.pt"),
        ("-rf.mar", "rf.mar"),
        ("鳥.toml", "model.toml"),
    ],
)
def test_a_files_name_can_do_no_harm(called: str, name: str) -> None:
    assert file_name(called) == name


@pytest.mark.parametrize("called", ["net.py", "archive.zip", "pt", ""])
def test_other_files_are_not_taken(called: str) -> None:
    with pytest.raises(BadFile, match=r"is none of \.pt, \.pth"):
        file_name(called)


# ----------------------------------------------------------------------------------------- recipes


def dropped(folder: Path, text: str) -> Item:
    file = folder / "birds.toml"
    file.write_text(text, encoding="utf-8")
    return Item("0" * 32, file)


def test_a_recipe_that_needs_no_other_file_is_read(tmp_path: Path) -> None:
    item = dropped(tmp_path, 'name = "b"\n[model]\narchitecture = "resnet18"\nweights = "none"')
    assert recipes.read(item, confined=True)["model"]["architecture"] == "resnet18"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[model]\nfile = "../../x.py"\nclass = "Net"', r"file = '../../x.py' in \[model\]"),
        ('[model]\narchitecture = "a"\nweights = "/x.pt"', r"weights = '/x.pt' in \[model\]"),
        ('[output]\nlabels = "/etc/secret.json"', r"labels = '/etc/secret.json' in \[output\]"),
        ('[lens]\nimages = "/home"', r"images = '/home' in \[lens\]"),
    ],
)
def test_a_dropped_recipe_names_no_file_of_this_machine(
    tmp_path: Path, text: str, said: str
) -> None:
    item = dropped(tmp_path, text)
    with pytest.raises(BadFile, match=said):
        recipes.read(item, confined=True)
    assert recipes.read(item, confined=False)


@pytest.mark.parametrize("text", ["name = ", "\x00", "a = 1\na = 2"])
def test_what_is_no_recipe_says_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadFile, match="no recipe that can be read"):
        recipes.read(dropped(tmp_path, text), confined=True)


# ------------------------------------------------------------------------------------ what is typed

TABLE: dict[str, Any] = {
    "name": "birds",
    "model": {"architecture": "resnet18", "num_classes": 2},
    "input": {"size": 224, "channels": 3, "mean": [0.485, 0.456, 0.406]},
}


def shown(**typed: str) -> list[tuple[str, str]]:
    """The form as it is shown, with what is typed over it, dots as underscores."""
    over = {key.replace("_", "."): text for key, text in typed.items()}
    texts = {field.key: field.text(TABLE) for field in recipe_form.FIELDS}
    return list({**texts, **over}.items())


def test_what_was_not_changed_is_left_to_the_recipe() -> None:
    assert recipe_form.changed(TABLE, shown()) == {
        "name": "birds", "model.architecture": "resnet18",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("input.size", "128", 128),
        ("input.size", "224 x 320", [224, 320]),
        ("input.size", "224×320", [224, 320]),
        ("input.size", "large", "large"),
        ("input.mean", "0.5, 0.5,0.5", [0.5, 0.5, 0.5]),
        ("input.std", "half", "half"),
        ("input.channels", "1", 1),
        ("output.labels", "owl\n\n wren \n", ["owl", "wren"]),
        ("output.labels", '["owl", "wren"]', ["owl", "wren"]),
        ("output.labels", '{"0": "owl", "1": "wren"}', {"0": "owl", "1": "wren"}),
        ("output.labels", "[not json", ["[not json"]),
    ],
)
def test_what_is_typed_is_read_as_far_as_it_takes(key: str, text: str, value: Any) -> None:
    typed = [(name, text if name == key else before) for name, before in shown()]
    assert recipe_form.changed(TABLE, typed)[key] == value


def test_another_name_is_another_title() -> None:
    values = recipe_form.changed(TABLE, shown(name="owls"))
    assert (values["name"], values["title"]) == ("owls", "owls")


# -------------------------------------------------------------------------------------- the builder


def test_the_builders_last_error_is_why() -> None:
    said = ["birds", "copying the code", "error: birds.toml has an error:", "- name is missing"]
    assert why(said) == "birds.toml has an error: - name is missing"


def test_a_builder_without_torch_says_what_brings_it() -> None:
    said = ["Traceback (most recent call last):", "ModuleNotFoundError: No module named 'torch'"]
    assert "No module named 'torch'. pip install 'servelens[server]' brings it" in why(said)


def test_a_builder_that_dies_tells_its_last_words() -> None:
    assert why([]) == "The builder ended before it was done; the last that it said: nothing"


def test_a_job_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    sleeper = tmp_path / "python"
    sleeper.write_text("#!/bin/sh\necho '  begun'\nexec sleep 60\n")
    sleeper.chmod(0o755)
    told: list[str] = []
    with pytest.raises(NotDone, match="the last that it said: begun"):
        Builder(sleeper).run("look", [], told.append, seconds=0.5)
    assert told == ["begun"]
