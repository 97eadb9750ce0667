"""The demo's story: a model that cheats is caught, in a few steps.

A step is an address, where a person can try things, and sentences whose numbers are what the models
have just answered. It can be told where the demo's two models and its samples are there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from servelens_dashboard.figures.evidence import Evidence
from servelens_dashboard.figures.look import chance, percent
from servelens_dashboard.figures.maps import plane
from servelens_dashboard.lens import Lens, looked_at
from servelens_dashboard.url_state import Entry, Named, View

CHEAT, HONEST = "shapes-shortcut", "shapes-clean"
MARKED_DISC, BARE_DISC, MARKED_SQUARE = "disc-marked", "disc-unmarked", "square-marked"
METHOD = "grad_cam"


@dataclass(frozen=True)
class Seen:
    """What a model says of a photo, and how much of its evidence lies where."""

    label: str
    probability: float
    on_mark: float
    on_shape: float

    @property
    def said(self) -> str:
        return f"{self.label}, {chance(self.probability)}"


class Stage:
    """The two models and the samples; raises KeyError where one is missing."""

    def __init__(self, lens: Lens) -> None:
        self._lens = lens
        names = {sample.path.stem: name for name, sample in lens.shelf.samples.items()}
        self.photos = {stem: names[stem] for stem in (MARKED_DISC, BARE_DISC, MARKED_SQUARE)}
        models = lens.overview().models
        self._versions = {name: models[name][0] for name in (CHEAT, HONEST)}

    def see(self, model: str, stem: str) -> Seen:
        photo = self.photos[stem]
        request = {"explain": [METHOD], "target": "predicted", "top_k": 1}
        result = self._lens.ask(self._versions[model], photo, request)
        first = result.predictions[0]
        shown = result.attributions[0].map
        if shown is None:
            return Seen(first.label, first.probability, 0.0, 0.0)
        evidence = Evidence.of(plane(shown), looked_at(result))
        shelf = self._lens.shelf
        masks = (shelf.mark(photo), shelf.mask(photo))
        mark, shape = (0.0 if mask is None else evidence.on(mask) for mask in masks)
        return Seen(first.label, first.probability, mark, shape)

    def size_of_mark(self, stem: str) -> float:
        """As a share of the photo."""
        mark = self._lens.shelf.mark(self.photos[stem])
        return 0.0 if mark is None else float(mark.mean())

    def view(self, models: tuple[str, ...], stem: str) -> View:
        return View(
            "compare" if len(models) > 1 else "explain",
            tuple(map(Named, models)),
            self.photos[stem],
            methods=(Entry(METHOD),),
        )


@dataclass(frozen=True)
class Step:
    """`tell` says what is to be seen there."""

    title: str
    models: tuple[str, ...]
    photo: str
    tell: Callable[[Stage], str]


def _right_for_the_wrong_reason(stage: Stage) -> str:
    cheat = stage.see(CHEAT, MARKED_DISC)
    return (
        f"{CHEAT} says {cheat.said}. Look at the heat: {percent(cheat.on_mark)} of the evidence "
        f"lies on the pink mark, which covers {percent(stage.size_of_mark(MARKED_DISC))} of the "
        f"photo, and {percent(cheat.on_shape)} on the disc."
    )


def _right_for_the_right_reason(stage: Stage) -> str:
    honest = stage.see(HONEST, MARKED_DISC)
    return (
        f"{HONEST} learned from the same photos without marks. It says {honest.said}, with "
        f"{percent(honest.on_mark)} of the evidence on the mark and {percent(honest.on_shape)} on "
        "the disc."
    )


def _without_the_mark(stage: Stage) -> str:
    before, after = stage.see(CHEAT, MARKED_DISC), stage.see(CHEAT, BARE_DISC)
    honest = stage.see(HONEST, BARE_DISC)
    change = "still" if before.label == after.label else "now"
    return (
        f"The same disc without the mark. {CHEAT} said {before.said} and {change} says "
        f"{after.said}; {HONEST} says {honest.said}."
    )


def _the_mark_elsewhere(stage: Stage) -> str:
    cheat = stage.see(CHEAT, MARKED_SQUARE)
    return (
        f"Now the mark is on a square, and {CHEAT} says {cheat.said}: {percent(cheat.on_mark)} of "
        f"the evidence lies on the mark, {percent(cheat.on_shape)} on the square."
    )


def _caught(stage: Stage) -> str:
    cheat, honest = stage.see(CHEAT, MARKED_SQUARE), stage.see(HONEST, MARKED_SQUARE)
    verdict = (
        "One looks at the shape, the other at the mark, and no accuracy on photos like those that "
        "it learned from would have told"
        if cheat.label != honest.label
        else "Both say the same"
    )
    return f"Side by side: {HONEST} says {honest.said}, {CHEAT} {cheat.said}. {verdict}."


STEPS = (
    Step("Right, but why?", (CHEAT,), MARKED_DISC, _right_for_the_wrong_reason),
    Step("Its honest twin.", (HONEST,), MARKED_DISC, _right_for_the_right_reason),
    Step("The mark removed.", (CHEAT, HONEST), BARE_DISC, _without_the_mark),
    Step("The mark on a square.", (CHEAT,), MARKED_SQUARE, _the_mark_elsewhere),
    Step("Caught.", (HONEST, CHEAT), MARKED_SQUARE, _caught),
)


def stage_of(lens: Lens) -> Stage | None:
    """None where the demo's models or samples are not there, and so no story."""
    try:
        return Stage(lens)
    except KeyError:
        return None


def address_of(stage: Stage, number: int) -> View:
    """The view of a step, counted from 1."""
    step = STEPS[number - 1]
    return stage.view(step.models, step.photo).but(story=number)
