"""Work on dropped files, with a builder that is a small script; what it may not build, and why."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from servelens.client import NoKeys, Server, Version
from servelens_dashboard.lens import Lens
from servelens_dashboard.overview import Overview
from servelens_dashboard.settings import Settings
from servelens_dashboard.shelf import Shelf
from servelens_dashboard.workshop.archive import has_lens
from servelens_dashboard.workshop.drawer import Drawer, Item
from servelens_dashboard.workshop.jobs import Job, Workshop
from servelens_dashboard.workshop.recipe_form import AS_IT_IS, BESIDE, changed

NOWHERE = "http://127.0.0.1:9"
FOUND = {"recipe": {"name": "birds"}, "findings": ["4 classes"]}
# `python -P -m servelens_archives.look FILE REPORT`, `... .build FILE --out STORE ...` and
# `... .instrument FILE --out ARCHIVE ...`
SCRIPT = """#!/bin/sh
echo "$@" >> {log}
case "$3" in
  *look) cp {report} "$5"; exit {code} ;;
  *instrument) echo "  running its handler"; echo lens > "$6" ;;
  *build) echo "birds"; echo "  4 classes"; echo "  copying the code"; echo "  error: it is raining"; exit 1 ;;
esac
"""  # noqa: E501


class Served(Lens):
    """Sees these models, whose server does not answer; without them, sees just that."""

    models: Mapping[str, tuple[Version, ...]] | None = None

    def look_again(self) -> Overview:
        return super().look_again() if self.models is None else Overview(self.models)


class Shop(Workshop):
    """With a builder that says what a test wants."""

    def __init__(self, folder: Path, report: Any, store: bool = True) -> None:
        for name in ("store", "recipes"):
            (folder / name).mkdir()
        self.log = folder / "log"
        code = 1 if "problem" in report else 0
        script, told = folder / "python", folder / "report"
        told.write_text(json.dumps(report))
        script.write_text(SCRIPT.format(log=self.log, report=told, code=code))
        script.chmod(0o755)
        self.settings = Settings(
            builder=script, store=folder / "store" if store else None, files=folder / "files"
        )
        server = Server(NOWHERE, NOWHERE, NoKeys())
        self.lens = Served(server, Shelf(folder / "photos", 10**6, 10**6, None), 10**6)
        super().__init__(self.settings, self.lens, Drawer(folder / "files", 10**6, 10**6))

    def put(self, content: bytes, called: str) -> Item:
        with self.drawer.receive(called) as arrival:
            arrival.add(content)
            return arrival.close()

    def calls(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


def over(job: Job) -> Job:
    deadline = time.monotonic() + 60
    while not job.is_over and time.monotonic() < deadline:
        time.sleep(0.01)
    assert job.is_over
    return job


def test_weights_are_looked_at_once_and_that_outlives_the_dashboard(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"result": FOUND})
    item = shop.put(b"weights", "birds.pt")
    assert over(shop.look(item)).result == FOUND
    assert shop.look(item) is shop.look(item)
    again = Workshop(shop.settings, shop.lens, shop.drawer)
    assert over(again.look(item)).result == FOUND
    assert shop.calls().count("servelens_archives.look") == 1


def test_what_the_look_has_against_a_file_begins_with_its_name(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"problem": "asks for posix.system, which could run code"})
    item = shop.put(b"weights", "evil.pt")
    told = over(shop.look(item)).problem
    assert told == "The file evil.pt asks for posix.system, which could run code."
    shop.remove(item.name)
    assert shop.drawer.items() == []
    over(shop.look(shop.put(b"weights", "evil.pt")))
    assert shop.calls().count("servelens_archives.look") == 2


def test_what_a_look_failed_at_is_looked_at_anew_when_that_is_asked_for(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"problem": "cannot be read"})
    item = shop.put(b"weights", "birds.pt")
    failed = over(shop.look(item))
    (tmp_path / "report").write_text(json.dumps({"result": FOUND}))
    assert shop.look(item) is failed
    assert over(shop.look_anew(item)).result == FOUND
    assert over(shop.look(item)).result == FOUND
    assert shop.calls().count("servelens_archives.look") == 2


def test_why_a_build_failed_is_told_after_what_was_done(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"result": FOUND})
    item = shop.put(b"weights", "birds.pt")
    over(shop.look(item))
    job = over(shop.build(item, {"name": "birds", "input.size": 64, "output.labels": ["a", "b"]}))
    assert job.problem == "It is raining."
    assert job.said == ["copying the code"]
    labels = shop.drawer.labels_of(item.name)
    assert f'--set name="birds" --set input.size=64 --set output.labels="{labels}"' in (
        shop.calls()
    )
    assert json.loads(labels.read_text()) == ["a", "b"]


def test_nothing_is_built_that_the_look_has_refused(tmp_path: Path) -> None:
    """The page offers no such thing; a browser may ask for it all the same."""
    shop = Shop(tmp_path, {"result": FOUND})
    item = shop.put(b'[model]\nfile = "/etc/x.py"\nclass = "X"', "x.toml")
    assert "a file that did not come with it" in (over(shop.look(item)).problem or "")
    assert "a file that did not come with it" in (over(shop.build(item, {})).problem or "")
    assert "build" not in shop.calls()


def test_an_archive_of_the_store_is_not_overwritten(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"result": FOUND})
    (tmp_path / "store" / "birds.mar").write_bytes(b"somebody's")
    job = over(shop.build(shop.put(b"another", "birds.mar"), {"name": "birds"}))
    assert job.problem == "The model store has a birds.mar already; take another name."
    assert (tmp_path / "store" / "birds.mar").read_bytes() == b"somebody's"


def test_an_archive_that_is_served_is_not_overwritten_though_it_was_written_here(
    tmp_path: Path,
) -> None:
    shop = Shop(tmp_path, {"result": FOUND})
    over(shop.build(shop.put(b"first", "first.mar"), {"name": "birds"}))
    archive, other = tmp_path / "store" / "birds.mar", shop.put(b"second", "second.mar")
    shop.lens.models = {"wrens": (Version("wrens", "1.0", "birds.mar", 1, 0, ()),)}
    for _ in range(2):
        told = over(shop.build(other, {"name": "birds"})).problem
        assert told == (
            "The server has wrens 1.0 from birds.mar, which would be overwritten; take another "
            "name, or unregister it first."
        )
        assert archive.read_bytes() == b"first"
    shop.lens.models = {}
    over(shop.build(other, {"name": "birds"}))
    assert archive.read_bytes() == b"second"


def test_two_files_are_not_built_under_one_name_at_a_time(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"result": FOUND})
    item = shop.put(b"another", "birds.mar")
    with shop._target("birds"):
        told = over(shop.build(item, {"name": "birds"})).problem
    assert told == "The archive birds.mar is being built already; take another name."
    assert list((tmp_path / "store").iterdir()) == []
    over(shop.build(item, {"name": "birds"}))
    assert (tmp_path / "store" / "birds.mar").read_bytes() == b"another"


@pytest.mark.parametrize("name", ["../birds", "a b", ".birds", "-x"])
def test_a_name_stays_in_the_store(tmp_path: Path, name: str) -> None:
    shop = Shop(tmp_path, {"result": FOUND})
    job = over(shop.build(shop.put(b"another", "birds.mar"), {"name": name}))
    assert "is no model's name" in (job.problem or "")
    assert list((tmp_path / "store").iterdir()) == []


def test_without_a_store_nothing_is_built(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"result": FOUND}, store=False)
    job = over(shop.build(shop.put(b"another", "birds.mar"), {"name": "birds"}))
    assert "Start it with --store" in (job.problem or "")


def test_a_server_that_does_not_answer_is_told_and_the_archive_stays(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"result": FOUND})
    item = shop.put(b"another", "birds.mar")
    for _ in range(2):
        job = over(shop.build(item, {"name": "birds"}))
        assert "did not answer" in (job.problem or "")
    assert (tmp_path / "store" / "birds.mar").read_bytes() == b"another"


def archive_of(handler: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": {"handler": handler}}))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (archive_of("lens_handler.py"), True),
        (archive_of("instrumented_handler"), True),
        (archive_of("image_classifier"), False),
        (archive_of("my_lens_handler.py:handle"), False),
        (b"no zip", False),
    ],
)
def test_an_archive_that_has_a_lens_is_known(
    tmp_path: Path, content: bytes, expected: bool
) -> None:
    path = tmp_path / "birds.mar"
    path.write_bytes(content)
    assert has_lens(path) is expected


def test_an_archive_of_strangers_gets_a_lens_where_that_is_chosen(tmp_path: Path) -> None:
    shop = Shop(tmp_path, {"result": FOUND})
    shop.lens.models = {}
    item = shop.put(archive_of("image_classifier"), "birds.mar")
    for _ in range(2):  # a second try finds the first one's archive in its place
        values = changed({}, [("name", "birds"), ("lens", BESIDE)])
        job = over(shop.build(item, values))
        assert job.said == ["running its handler", "registering the model and starting its worker"]
        assert (tmp_path / "store" / "birds.mar").read_text() == "lens\n"
    over(shop.build(item, changed({}, [("name", "birds"), ("lens", AS_IT_IS)])))
    assert has_lens(tmp_path / "store" / "birds.mar") is False
    assert (tmp_path / "store" / "birds.mar").read_bytes() == item.file.read_bytes()
