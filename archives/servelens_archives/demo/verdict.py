"""Asks both demo models about photos whose cause is known, and judges what they answer."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from servelens.client import Server
from servelens_archives.demo.evidence import Photo, marked_photos, mass, upsample

PHOTOS = 24


@dataclass(frozen=True)
class Verdict:
    """What was seen, a line each, and whether it is the story that the demo tells."""

    lines: tuple[str, ...]
    passed: bool


@dataclass(frozen=True)
class Looks:
    """Over some photos: where a model's evidence lies, as medians, and how often it is right."""

    on_mark: float
    on_shape: float
    right: float


def judge(
    server: Server, shortcut: str, clean: str, tell: Callable[[str], None] = lambda progress: None
) -> Verdict:
    marked = list(marked_photos(PHOTOS))
    moved = list(marked_photos(PHOTOS, "moved"))
    photo = marked[0]
    plain = server.classify(clean, photo.png)
    tell(f"asking {shortcut} and {clean} about {PHOTOS} photos whose mark goes with its class")
    cheat, honest = looks(server, shortcut, marked), looks(server, clean, marked)
    tell(f"asking both about {PHOTOS} photos whose mark has moved to another class")
    cheat_moved, honest_moved = looks(server, shortcut, moved), looks(server, clean, moved)
    findings = (
        (
            "the server is healthy",
            server.health() == "Healthy",
            server.health(),
        ),
        (
            f"a bare prediction of a {photo.label} by {clean}",
            max(plain, key=plain.__getitem__) == photo.label,
            ", ".join(f"{label} {probability:.3f}" for label, probability in plain.items()),
        ),
        (
            f"{shortcut} looks at the mark: Grad-CAM's mass on the corner mark, on the shape",
            cheat.on_mark > cheat.on_shape,
            _shares(cheat),
        ),
        (
            f"{clean} looks at the shape: Grad-CAM's mass on the corner mark, on the shape",
            honest.on_shape > honest.on_mark,
            _shares(honest),
        ),
        (
            f"{shortcut} is right while the mark goes with its class, and fails where it moved",
            cheat.right > 0.9 and cheat_moved.right < 0.5,
            f"{cheat.right:.0%} right, then {cheat_moved.right:.0%}",
        ),
        (
            f"{clean} does not mind",
            honest.right > 0.9 and honest_moved.right > 0.9,
            f"{honest.right:.0%} right, then {honest_moved.right:.0%}",
        ),
    )
    lines = [f"{'ok  ' if good else 'FAIL'}  {what}: {saw}" for what, good, saw in findings]
    return Verdict(tuple(lines), all(good for _, good, _ in findings))


def looks(server: Server, model: str, photos: Sequence[Photo]) -> Looks:
    answers = [server.ask(model, photo.png, explain="grad_cam") for photo in photos]
    maps = [_heat(document) for document in answers]
    right = [
        document["predictions"][0]["label"] == photo.label
        for document, photo in zip(answers, photos, strict=True)
    ]
    return Looks(
        on_mark=_median_mass(maps, [photo.mark_mask for photo in photos]),
        on_shape=_median_mass(maps, [photo.shape_mask for photo in photos]),
        right=sum(right) / len(right),
    )


def _heat(document: dict[str, Any]) -> Any:
    height, width = document["input"]["height"], document["input"]["width"]
    return upsample(document["attributions"][0]["map"], (height, width))


def _median_mass(maps: Sequence[Any], masks: Sequence[Any]) -> float:
    shares = (mass(heat, mask) for heat, mask in zip(maps, masks, strict=True))
    return statistics.median(shares)


def _shares(found: Looks) -> str:
    return f"{found.on_mark:.0%} and {found.on_shape:.0%} (median of {PHOTOS} photos)"
