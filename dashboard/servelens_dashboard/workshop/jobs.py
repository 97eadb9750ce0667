"""What is done with dropped files: they are looked at, built and registered.

The dashboard opens no weights: the builder does, and its words are told as they come.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servelens_dashboard import running
from servelens_dashboard.lens import Lens
from servelens_dashboard.running import NotDone
from servelens_dashboard.settings import Settings
from servelens_dashboard.troubles import EXPECTED, tell, unexpected
from servelens_dashboard.workshop import recipes
from servelens_dashboard.workshop.builder import Builder
from servelens_dashboard.workshop.drawer import Drawer, Item
from servelens_dashboard.workshop.recipe_form import BESIDE, LABELS, LENS

LOOK, BUILD, INSTRUMENT = "look", "build", "instrument"
LOOK_S = 300.0
REPORT = "look.json"
NO_STORE = (
    "The dashboard does not know the server's model store, where archives go. Start it with "
    "--store, on the server's machine."
)


@dataclass
class Job:
    """Work on one file, as far as it has come: what it has come to, or what went wrong."""

    said: list[str] = field(default_factory=list)
    problem: str | None = None
    result: Any = None

    @property
    def is_over(self) -> bool:
        return self.problem is not None or self.result is not None


class Workshop:
    """One job of a kind at a time for a file; whoever looks at the file sees how it goes."""

    def __init__(self, settings: Settings, lens: Lens, drawer: Drawer) -> None:
        self.drawer = drawer
        self._settings = settings
        self._lens = lens
        self._builder = Builder(settings.builder)
        self._jobs: dict[tuple[str, str], Job] = {}
        self._ours: set[str] = set()
        self._under_way: set[str] = set()
        self._lock = threading.Lock()

    @property
    def recipes(self) -> list[str]:
        return list(recipes.shipped(self._settings))

    def find(self, name: str) -> Item:
        """A file that was dropped, or a recipe that ships; raises `BadFile`."""
        recipe = recipes.shipped(self._settings).get(name)
        return Item(name, recipe) if recipe else self.drawer.find(name)

    def is_dropped(self, item: Item) -> bool:
        return item.name not in self.recipes

    def remove(self, name: str) -> None:
        """Dropped again, the file is looked at again."""
        self.drawer.remove(name)
        for kind in (LOOK, BUILD):
            self._jobs.pop((kind, name), None)

    def look(self, item: Item) -> Job:
        """What a recipe says, or would say of these weights; asked once."""
        return self.job(LOOK, item.name) or self.look_anew(item)

    def look_anew(self, item: Item) -> Job:
        """What a look has failed at may be mended, such as a builder that was missing."""
        return self._begin(LOOK, item, self._look)

    def build(self, item: Item, values: Mapping[str, Any]) -> Job:
        """An archive in the store, registered; its result is the model's name."""
        return self._begin(BUILD, item, lambda item, job: self._build(item, job, values))

    def job(self, kind: str, name: str) -> Job | None:
        return self._jobs.get((kind, name))

    def _begin(self, kind: str, item: Item, work: Callable[[Item, Job], Any]) -> Job:
        """Anew where it is over, unless it is going on."""
        with self._lock:
            known = self.job(kind, item.name)
            if known is not None and not known.is_over:
                return known
            job = self._jobs[kind, item.name] = Job()
        threading.Thread(target=_do, args=(work, item, job), daemon=True).start()
        return job

    def _look(self, item: Item, job: Job) -> Any:
        if item.is_recipe:
            return {"recipe": recipes.read(item, confined=self.is_dropped(item))}
        report = item.folder / REPORT
        if not report.is_file():
            job.said.append("looking at the weights")
            try:
                self._builder.run(LOOK, [str(item.file), str(report)], job.said.append, LOOK_S)
            except NotDone:
                if not report.is_file():
                    raise
        told = json.loads(report.read_text(encoding="utf-8"))
        if "problem" in told:
            report.unlink()  # another builder may know better
            raise NotDone(f"The file {item.file.name} {told['problem']}")
        return told["result"]

    def _build(self, item: Item, job: Job, values: Mapping[str, Any]) -> str:
        name = str(values.get("name") or item.file.stem)
        with self._target(name) as target:
            self._write(item, job, values, name, target)
            job.said.append("registering the model and starting its worker")
            running.register(self._lens, self._settings, target.name, name, 1)
        self._lens.look_again()
        return name

    def _write(
        self, item: Item, job: Job, values: Mapping[str, Any], name: str, target: Path
    ) -> None:
        if item.is_archive and values.get(LENS) == BESIDE:
            target.unlink(missing_ok=True)  # one of ours, from a try before
            given = [str(item.file), "--out", str(target), "--name", name]
            self._builder.run(INSTRUMENT, given, job.said.append)
        elif item.is_archive:
            job.said.append("copying the archive into the store")
            _copy(item.file, target)
        else:
            found = self._found(item)
            given = [str(item.file), "--out", str(target.parent), *self._sets(item, values)]
            known = found.get("findings", ())
            self._builder.run(
                BUILD, given, lambda line: None if line in known else job.said.append(line)
            )
        self._ours.add(target.name)

    def _found(self, item: Item) -> Mapping[str, Any]:
        """Nothing is built that was not looked at, whatever a browser asks for."""
        look = self.look(item)
        if look.result is None:
            raise NotDone(look.problem or f"The file {item.file.name} is still being looked at.")
        return look.result

    def _sets(self, item: Item, values: Mapping[str, Any]) -> Iterator[str]:
        """Values as the builder takes them; labels in a file, for they may be many."""
        for key, value in values.items():
            if key == LABELS:
                file = self.drawer.labels_of(item.name)
                file.write_text(json.dumps(value), encoding="utf-8")
                value = str(file)
            yield from ("--set", f"{key}={json.dumps(value)}")

    @contextmanager
    def _target(self, name: str) -> Iterator[Path]:
        """Its place in the store, which nobody else writes to meanwhile."""
        if self._settings.store is None:
            raise NotDone(NO_STORE)
        running.check_name(name)
        target = self._settings.store / f"{name}.mar"
        with self._lock:
            if target.name in self._under_way:
                raise NotDone(
                    f"The archive {target.name} is being built already; take another name."
                )
            self._under_way.add(target.name)
        try:
            self._check_free(target)
            yield target
        finally:
            self._under_way.discard(target.name)

    def _check_free(self, target: Path) -> None:
        """Nothing is overwritten that was not written here, nor what the server still runs."""
        if not target.exists():
            return
        if target.name not in self._ours:
            raise NotDone(f"The model store has a {target.name} already; take another name.")
        overview = self._lens.look_again()
        if overview.error is not None:
            raise overview.error
        for version in (version for versions in overview.models.values() for version in versions):
            if version.archive == target.name:
                raise NotDone(
                    f"The server has {version.name} {version.version} from {target.name}, which "
                    "would be overwritten; take another name, or unregister it first."
                )


def _do(work: Callable[[Item, Job], Any], item: Item, job: Job) -> None:
    """In a thread of its own: whatever becomes of the work, the page is told."""
    try:
        job.result = work(item, job)
    except EXPECTED as error:
        job.problem = tell(error).what
    except Exception as error:
        job.problem = unexpected(error).words


def _copy(source: Path, target: Path) -> None:
    """Whole or not at all, for a server may look at any time."""
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, part)
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise NotDone(f"{target.name} could not be written: {error.strerror}.") from error
