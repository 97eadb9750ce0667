"""Each part of a page that can be kept: what is asked for it, of what, and in which formats it is.

A part is declared here once. The row on its page (components/saving.py) and what the doors give
(export_doors.py) come of that, so that neither has what the other has not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from servelens import codec
from servelens.client import Result
from servelens.client.saving import FORMATS
from servelens.protocol import shorten, to_wire
from servelens_dashboard import questions
from servelens_dashboard.exports import KINDS
from servelens_dashboard.lens import Lens
from servelens_dashboard.parts import asked_whole
from servelens_dashboard.questions import Ask
from servelens_dashboard.scene import Scene, explain_request, predict_request, trust_request
from servelens_dashboard.url_state import COMPARE, BadAddress, View

Request = Mapping[str, Any]
# Of one answer, or of one of each model.
Encode = Callable[..., bytes]

WHOLE: Mapping[str, Encode] = {kind: FORMATS[f".{kind}"] for kind in KINDS}
# An answer without arrays, for which an npz would be a strange place.
WORDS: Mapping[str, Encode] = {kind: WHOLE[kind] for kind in WHOLE if kind != "npz"}


@dataclass(frozen=True)
class Part:
    """`of` names what of a view the part is of; all else is nothing to it. `is_picture` where the
    page has a graph of it, which the browser makes a PNG of."""

    of: tuple[str, ...]
    answer: Callable[[Scene, Lens], Any]
    request: Callable[[Scene, Lens], Request]
    formats: Mapping[str, Encode]
    is_picture: bool

    @property
    def has_photo(self) -> bool:
        return "photo" in self.of

    def narrowed(self, view: View) -> View:
        """What the part is of, so that the same part has one address wherever it is seen."""
        models = view.models if view.page == COMPARE else view.models[:1]
        return View(view.page, models, **{name: getattr(view, name) for name in self.of})


def part_of(view: View, name: str) -> Part:
    if view.page not in PARTS:
        raise BadAddress(f"The page {view.page} has nothing to save or to copy.")
    parts = PARTS[view.page]
    if name not in parts:
        raise BadAddress(
            f"The page {view.page} has no part {shorten(name)}; there are {', '.join(parts)}."
        )
    return parts[name]


def _asked(
    question: Callable[[Scene, Ask], Result],
    *of: str,
    formats: Mapping[str, Encode] = WHOLE,
    is_picture: bool = True,
) -> Part:
    """Of one question about the photo, and of what else of the view. What is asked may rest on
    other answers, so that the answer says it, which the page has had."""

    def answer(scene: Scene, lens: Lens) -> Result:
        return question(scene, questions.about(scene, lens))

    def request(scene: Scene, lens: Lens) -> Request:
        origin = answer(scene, lens).origin
        return to_wire(origin.asked) if origin else {}

    return Part(("photo", *of), answer, request, formats, is_picture)


def _statistics(ask: Ask, *layers: str) -> Result:
    return ask({"activations": {"layers": list(layers), "maps": False}, "top_k": 1})


def _of_the_layer(scene: Scene, ask: Ask) -> Result:
    return _statistics(ask, scene.view.layer or "")


def _of_the_depth(scene: Scene, ask: Ask) -> Result:
    return _statistics(ask, *dict.fromkeys(scene.capability["default_layers"]))


def _predictions(scene: Scene, ask: Ask) -> Result:
    return ask(predict_request(scene))


def _card(scene: Scene, ask: Ask) -> Result:
    """It has the map that it was made of."""
    return ask(trust_request(scene, scene.view.methods[0]))


def _document(capability: Mapping[str, Any]) -> bytes:
    return codec.write_json(codec.pack_json(capability))


CLASS = ("target", "versus")
# Its question is told before it is answered, for a map may come slowly, and in parts.
MAP = Part(
    ("photo", *CLASS, "methods"),
    lambda scene, lens: asked_whole(lens, scene, scene.view.methods[0]),
    lambda scene, _: explain_request(scene, scene.view.methods[0]),
    WHOLE,
    is_picture=True,
)
# What the model says of itself, whatever the photo.
NETWORK = Part(
    (),
    lambda scene, lens: lens.capability(scene.version),
    lambda *_: {"describe": True},
    {"json": _document},
    is_picture=True,
)
# A list of them is no picture; bars of several models are.
PREDICTIONS = _asked(_predictions, formats=WORDS, is_picture=False)

PARTS: Mapping[str, Mapping[str, Part]] = {
    "explain": {
        "map": MAP,
        "card": _asked(_card, *CLASS, "methods"),
        "predictions": PREDICTIONS,
    },
    "explore": {
        "network": NETWORK,
        "atlas": _asked(questions.atlas, *CLASS, "layer", "sort_by"),
        "statistics": _asked(_of_the_layer, "layer", formats=WORDS, is_picture=False),
        "channel": _asked(questions.channel, "layer", "channel"),
        "unit": _asked(questions.unit, "layer", "channel", "place"),
        "knock-out": _asked(
            questions.knocked_out, "layer", "channel", formats=WORDS, is_picture=False
        ),
        "weights": _asked(questions.weights, "layer", "channel"),
        "journey": _asked(questions.journey),
        "predictions": PREDICTIONS,
    },
    COMPARE: {
        "map": MAP,
        "predictions": _asked(_predictions, formats=WORDS),
        "statistics": _asked(_of_the_depth, formats=WORDS),
        "steps": _asked(questions.journey),
    },
}
