"""What may be done to the server's models, before the server is asked for any of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from servelens.client import NoKeys, Server
from servelens_dashboard.lens import Lens
from servelens_dashboard.running import NotDone, register
from servelens_dashboard.settings import Settings
from servelens_dashboard.shelf import Shelf

NOWHERE = "http://127.0.0.1:9"
BEYOND = (
    "http://example.org/x.mar",
    "https://example.org/x.mar",
    "file:///tmp/x.mar",
    "s3://bucket/x.mar",
    "//example.org/x.mar",
    "../x.mar",
    "folder/x.mar",
    "..\\x.mar",
    "/tmp/x.mar",
    ".x.mar",
    "x\ny.mar",
    "x.zip",
    "",
)


class Listening(Server):
    """Keeps what it is told to register."""

    def __init__(self) -> None:
        super().__init__(NOWHERE, NOWHERE, NoKeys())
        self.registered: list[tuple[str, str]] = []

    def register(self, archive: str, name: str, **more: Any) -> None:
        self.registered.append((archive, name))


class Site:
    def __init__(self, folder: Path, store: Path | None) -> None:
        self.server = Listening()
        self.settings = Settings(store=store, photos=folder / "photos", files=folder / "files")
        shelf = Shelf(self.settings.photos, 0, 0, None)
        self.lens = Lens(self.server, shelf, 0)

    def register(self, archive: str, name: str = "m", workers: int = 1) -> str:
        return register(self.lens, self.settings, archive, name, workers)


@pytest.fixture(params=["a store that is seen", "a store elsewhere"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    store = tmp_path / "store"
    store.mkdir()
    (store / "shapes.mar").touch()
    return Site(tmp_path, store if request.param == "a store that is seen" else None)


@pytest.mark.parametrize("archive", BEYOND)
def test_only_an_archive_of_the_store_is_ever_named_to_the_server(site: Site, archive: str) -> None:
    with pytest.raises(NotDone, match="is no archive of the model store"):
        site.register(archive)
    assert site.server.registered == []


def test_an_archive_that_the_store_does_not_have_is_told_with_those_it_has(tmp_path: Path) -> None:
    (tmp_path / "shapes.mar").touch()
    site = Site(tmp_path, tmp_path)
    with pytest.raises(NotDone, match=r"has no birds\.mar; it has shapes\.mar\."):
        site.register("birds.mar")
    assert site.server.registered == []


@pytest.mark.parametrize(("name", "workers"), [("a/b", 1), ("../m", 1), ("m", -1), ("m", 33)])
def test_names_and_numbers_that_are_none_are_refused(site: Site, name: str, workers: int) -> None:
    with pytest.raises(NotDone):
        site.register("shapes.mar", name, workers)
    assert site.server.registered == []


def test_an_archive_of_the_store_is_registered_under_its_own_name_or_another(site: Site) -> None:
    assert site.register(" shapes.mar ", "") == "shapes is registered from shapes.mar."
    site.register("shapes.mar", "rings")
    assert site.server.registered == [("shapes.mar", "shapes"), ("shapes.mar", "rings")]
