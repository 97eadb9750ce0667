"""Every method on photos whose true cause is planted and known; what is found is docs/methods.md.

On the model that cheats the cause of "disc" is the mark in the corner, on its clean twin a shape's
cause is the shape. Masks are widened by one cell of the layer's map, which cannot point any finer.
"""

from __future__ import annotations

import base64
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from rich.progress import track
from tests.bench.setting import ROOT, Setting
from tests.bench.table import Report, Row

from servelens.engine.session import Session
from servelens.protocol import Document, TrustCard, read_request
from servelens_archives.demo.evidence import DILATION, HELD_OUT_SEED, dilated, marked_photos, png
from servelens_archives.demo.shapes import LABELS, samples

NAME = "methods"
TITLE = "All methods on photos whose cause is known"
PAGE = ROOT / "docs" / "methods.md"
PHOTOS = 100
# Of every so many photos one is checked in full, for slow methods are made five times more for it.
FULL_OF = 10
HEAD = """# Methods, measured

`scripts/bench methods` writes this page; `--scale` says of how many photos. Here it was {photos}
generated photos that no training saw, for each demo model: on `shapes-shortcut` marked discs, where
the cause of "disc" is the mark in a corner, on `shapes-clean` photos of all five shapes, where the
cause is the shape. All methods have their default parameters and, where they take a layer, the
default one. Masks are widened by {dilation} pixels.

- **mass** is the share of the map's positive values inside the mask, **points** the share of photos
  on which the map is highest there; the masks cover {mark:.0%} and {shape:.0%} of the photos, which
  is what a map without any idea reaches.
- **deletion** and **insertion** are how much better than a random map's its area is, over both
  models; 0 is chance.
- **stability** is likeness under slight noise (1 the same), **sanity** likeness to the maps of the
  model with random weights (0 is right: the map depends on what was learned), of one photo in
  {full_of} for methods of many passes. protocol.md says how each is found.
- **passes** are images forward and back that one map takes alone.

Bad results stand here as measured; on other models and photos, others may do better or worse. No
number stands where a map is the same everywhere, as internal influence is before a global mean.

"""
COLUMNS = (
    "method",
    "mass on the mark",
    "points at it",
    "mass on the shape",
    "points at it",
    "deletion",
    "insertion",
    "stability",
    "sanity",
    "passes",
)


@dataclass(frozen=True)
class Case:
    """A photo, the class that it is explained for, and where that has its cause."""

    png: bytes
    label: str
    mask: Any


@dataclass
class Record:
    """What was found of one method on one model."""

    numbers: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, card: TrustCard) -> None:
        for name, value in vars(card).items():
            if isinstance(value, float):
                self.numbers[name].append(value)

    def mean(self, name: str) -> float | None:
        found = self.numbers.get(name)
        return statistics.fmean(found) if found else None


def run(setting: Setting) -> Report:
    count = setting.pairs(PHOTOS)
    cheat = Session.load(setting.trained("shapes-shortcut"), setting.device)
    clean = Session.load(setting.trained("shapes-clean"), setting.device)
    marks, shapes = list(_marked(count)), list(_plain(count))
    found = _examine(cheat, marks), _examine(clean, shapes)
    passes = {name: _passes(clean, name, shapes[0]) for name in found[1]}
    covers = [statistics.fmean(case.mask.mean() for case in cases) for cases in (marks, shapes)]
    page = HEAD.format(
        photos=count, dilation=DILATION, mark=covers[0], shape=covers[1], full_of=FULL_OF
    )
    PAGE.write_text(page + _table(found, passes), encoding="utf-8")
    missing = [name for name in _supported(clean) if name not in found[1]]
    seen = f"{len(found[1])} on {2 * count} photos"
    return Report(NAME, TITLE, [Row("methods", seen, "all that are supported", not missing)])


def _marked(count: int) -> Iterator[Case]:
    for one in marked_photos(count):
        yield Case(one.png, one.label, dilated(one.mark_mask, DILATION))


def _plain(count: int) -> Iterator[Case]:
    for one in islice(samples(HELD_OUT_SEED, range(count)), count):
        yield Case(png(one.image), LABELS[one.label], dilated(one.shape_mask, DILATION))


def _examine(session: Session, cases: Sequence[Case]) -> dict[str, Record]:
    records: dict[str, Record] = defaultdict(Record)
    for number, case in enumerate(track(cases, session.card.name, transient=True)):
        trust: Any = "full" if number % FULL_OF == 0 else True
        for entry in _explain(session, _supported(session), case, trust=trust).attributions:
            if entry.trust is not None:
                records[entry.method].add(entry.trust)
    return records


def _supported(session: Session) -> list[str]:
    return [method["name"] for method in session.describe()["methods"] if method["supported"]]


def _explain(session: Session, methods: Sequence[str], case: Case, **keys: Any) -> Document:
    mask = base64.b64encode(png(case.mask)).decode("ascii")
    asked = {"explain": list(methods), "target": case.label, "mask": mask, **keys}
    (answer,) = session.run([read_request(asked, case.png)])
    assert isinstance(answer, Document), answer
    return answer


def _passes(session: Session, method: str, case: Case) -> str:
    cost = _explain(session, [method], case).cost
    return f"{cost.forwards} + {cost.backwards}"


def _table(found: Sequence[dict[str, Record]], passes: dict[str, str]) -> str:
    """The best on the planted mark first, for that cause is known to the pixel."""
    cheat, clean = found
    order = sorted(clean, key=lambda name: -(cheat[name].mean("mass") or 0.0))
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for name in order:
        one, other = cheat[name], clean[name]
        cells = [
            one.mean("mass"),
            one.mean("pointing"),
            other.mean("mass"),
            other.mean("pointing"),
            _gain(one, other, "random_deletion_auc", "deletion_auc"),
            _gain(one, other, "insertion_auc", "random_insertion_auc"),
            _both(one, other, "stability"),
            _both(one, other, "sanity"),
        ]
        told = ["" if cell is None else f"{cell:.2f}" for cell in cells]
        lines.append(f"| {' | '.join([f'`{name}`', *told, passes[name]])} |")
    return "\n".join(lines) + "\n"


def _gain(one: Record, other: Record, more: str, less: str) -> float | None:
    higher, lower = _both(one, other, more), _both(one, other, less)
    return None if higher is None or lower is None else higher - lower


def _both(one: Record, other: Record, name: str) -> float | None:
    means = [mean for record in (one, other) if (mean := record.mean(name)) is not None]
    return statistics.fmean(means) if means else None
