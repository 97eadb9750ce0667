"""A model whose photos somebody else prepares is answered as if we had.

The oracle is the engine itself: what it would have prepared, handed to it from outside.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from engine_fixtures.photos import encode, noise, photo, plain
from engine_fixtures.sessions import (
    SMALL,
    card,
    document,
    open_session,
    problem,
    seeded,
    session_of,
)
from jsonschema import Draft202012Validator
from PIL import Image
from tiny_net import TinyNet

from servelens.engine.budget import Limits
from servelens.engine.folder.card import InputSpec
from servelens.engine.geometry import to_input, view_photo
from servelens.engine.prepared import Prepared
from servelens.engine.session import Session
from servelens.protocol import ProblemError
from servelens.protocol.schema import capability_schema

NORMED = InputSpec(size=(32, 32), resize=36)
CPU = torch.device("cpu")


def ours(spec: InputSpec) -> Any:
    """Prepares as the engine itself would have."""

    def prepare(data: bytes) -> np.ndarray:
        return np.asarray(to_input([view_photo(data, spec, 10**8)], spec, CPU)[0])

    return prepare


def handed(prepare: Any, limits: Limits = Limits()) -> Session:  # noqa: B008 - frozen
    see = Prepared(prepare, limits.pixels)
    return session_of(seeded(TinyNet), card(see.spec), limits=limits, see=see)


@pytest.fixture(scope="module")
def decoding() -> Session:
    return open_session(seeded(TinyNet), input=NORMED)


@pytest.fixture(scope="module")
def given() -> Session:
    return handed(ours(NORMED))


PHOTO = encode(noise(64, 48), "PNG")
METHODS: list[Any] = [
    "grad_cam", "saliency", "occlusion", "guided_backprop", "smooth_grad",
    {"method": "integrated_gradients", "baseline": "white", "steps": 5},
    {"method": "integrated_gradients", "baseline": "random", "steps": 5},
    {"method": "integrated_gradients", "baseline": "black", "steps": 5},
    {"method": "rise", "samples": 20}, {"method": "deep_lift", "baseline": "blur"},
]  # fmt: skip


def test_answers_are_those_of_a_model_that_we_prepare_for(
    given: Session, decoding: Session
) -> None:
    keys: dict[str, Any] = {"explain": METHODS, "activations": ["block"], "target": "top:2"}
    theirs, mine = (document(s, PHOTO, **keys) for s in (given, decoding))
    assert theirs.input == mine.input
    for one, other in zip(theirs.predictions, mine.predictions, strict=True):
        assert one.logit == pytest.approx(other.logit, abs=1e-5)
    assert len(theirs.attributions) == 2 * len(METHODS)
    for one, other in zip(theirs.attributions, mine.attributions, strict=True):
        assert one.problem is other.problem is None
        assert np.abs(one.map - other.map).max() <= 1e-4 * np.abs(other.map).max()
    assert np.allclose(theirs.activations[0].maps, mine.activations[0].maps, atol=1e-4)


def test_drawings_and_pictures_lie_where_the_model_looks(given: Session, decoding: Session) -> None:
    left = Image.new("L", (64, 48))
    left.paste(255, (0, 0, 32, 48))
    drawn = base64.b64encode(encode(left)).decode()
    keys: dict[str, Any] = {
        "explain": ["saliency", {"method": "feature_ablation", "segments": drawn}],
        "trust": "full",
        "mask": drawn,
        "render": True,
    }
    theirs, mine = (document(s, PHOTO, **keys) for s in (given, decoding))
    for one, other in zip(theirs.attributions, mine.attributions, strict=True):
        assert np.abs(one.map - other.map).max() <= 1e-4 * np.abs(other.map).max()
        assert one.image == other.image
        assert one.trust is not None
        assert other.trust is not None
        assert one.trust.mass == pytest.approx(other.trust.mass, abs=1e-4)
        assert one.trust.deletion_auc == pytest.approx(other.trust.deletion_auc, abs=1e-3)
        # Our own noise is rounded to whole levels; what was handed over has none.
        assert one.trust.stability == pytest.approx(other.trust.stability, abs=0.05)


def test_the_card_says_what_was_measured(given: Session) -> None:
    Draft202012Validator(capability_schema()).validate(given.describe())
    told = given.describe()["input"]
    assert (told["size"], told["channels"], told["prepared"]) == ([32, 32], 3, True)
    assert told["mean"] == pytest.approx(NORMED.mean, abs=1e-6)
    assert told["std"] == pytest.approx(NORMED.std, abs=1e-6)
    assert told["resize"] is told["crop"] is None


def test_a_photo_that_was_turned_is_placed_or_not(given: Session) -> None:
    """We turn photos upright; a handler that does not sees them lying, which is no part of them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode(noise(64, 48), "JPEG", exif=exif)
    seen = document(given, turned).input
    assert seen is not None
    assert (seen.width, seen.height) == (48, 64)
    lying = handed(ours(InputSpec(size=(32, 32), resize=36, exif=False)))
    assert document(lying, turned).input is None
    assert document(lying, PHOTO).input is not None


def standardised(data: bytes) -> np.ndarray:
    values = ours(SMALL)(data)
    return np.asarray((values - values.mean()) / (values.std() + 1e-6))


def test_where_nothing_could_be_measured_maps_lie_over_the_input() -> None:
    session = handed(standardised)
    told = session.describe()["input"]
    assert (told["mean"], told["std"]) == ([0.0] * 3, [1.0] * 3)
    mask = base64.b64encode(encode(Image.new("L", (64, 48), 255))).decode()
    answer = document(session, PHOTO, explain=["saliency", "occlusion"], render=True)
    assert answer.input is None
    assert [found.map.shape for found in answer.attributions] == [(32, 32)] * 2
    assert [found.image for found in answer.attributions] == [None] * 2
    assert answer.problems is not None
    (unrendered,) = answer.problems
    assert (unrendered.type, unrendered.where) == ("unsupported", "render")
    refused = problem(session, PHOTO, explain="saliency", trust=True, mask=mask)
    assert (refused.type, refused.where) == ("bad_value", "mask")
    assert "could not be measured where in this photo it looks" in refused.message
    field = {"layer": "block", "channel": 0}
    box = document(session, PHOTO, receptive_field=field).receptive_field
    assert box is not None
    assert box.map is not None
    assert box.box is None


def test_photos_of_other_sizes_may_become_inputs_of_other_sizes() -> None:
    """As handlers of models without a fixed size have them; rows of a batch keep apart."""

    def prepare(data: bytes) -> np.ndarray:
        view = view_photo(data, InputSpec(size=(32, 32), resize=0, crop="none"), 10**8)
        assert view.ref is not None
        spec = InputSpec(size=(view.ref.height // 2, view.ref.width // 2), crop="none")
        return ours(spec)(data)

    session = handed(prepare)
    photos = [photo(width=64, height=48), photo(width=80, height=40), photo(width=64, height=48)]
    requests = [problem_free(session, one) for one in photos]
    assert requests == [(24, 32), (20, 40), (24, 32)]


def problem_free(session: Session, image: bytes) -> tuple[int, ...]:
    answer = document(session, image, explain="saliency")
    assert answer.input is not None
    assert answer.input.size == answer.attributions[0].map.shape
    return tuple(answer.attributions[0].map.shape)


def test_what_cannot_be_prepared_is_that_rows_problem(given: Session) -> None:
    def picky(data: bytes) -> np.ndarray:
        if Image.open(io.BytesIO(data)).mode != "RGB":
            raise KeyError("/srv/secret")
        return np.asarray(ours(NORMED)(data))

    session = handed(picky)
    refused = problem(session, encode(noise(mode="L")), explain=True)
    assert (refused.type, refused.where) == ("bad_image", "image")
    assert "could not prepare the image for its model (KeyError)" in refused.message
    assert "secret" not in refused.words
    assert problem(given, b"no picture").type == "bad_image"
    assert document(session, PHOTO, explain=True).attributions[0].problem is None


def test_pixels_are_counted_before_anybody_decodes_them() -> None:
    asked: list[bytes] = []

    def prepare(data: bytes) -> np.ndarray:
        asked.append(data)
        return np.asarray(ours(NORMED)(data))

    see = Prepared(prepare, 1000)
    asked.clear()
    with pytest.raises(ProblemError) as refused:
        see(PHOTO, False)
    assert refused.value.problem.type == "too_many_pixels"
    assert not asked


def test_where_the_model_looks_is_measured_once_for_photos_of_a_size() -> None:
    asked: list[bytes] = []

    def prepare(data: bytes) -> np.ndarray:
        asked.append(data)
        return np.asarray(ours(NORMED)(data))

    see = Prepared(prepare, 10**6)
    asked.clear()
    for seed in range(3):
        assert see(encode(noise(64, 48, seed=seed)), False).ref is not None
    assert len(asked) == 3 + 2
    assert see(plain(9), False).ref is not None
    assert len(asked) == 3 + 2 + 1 + 2
