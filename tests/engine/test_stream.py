"""A request answered in frames: in order, each true, and a last one whatever happens."""

from __future__ import annotations

import numpy as np
import pytest
from engine_fixtures.photos import photo, plain, png_header
from engine_fixtures.sessions import document, open_session, request, seeded
from odd_nets import CutNet, MoodyNet, OverflowNet
from tiny_net import TinyNet

from servelens.codec import pack_json, write_json
from servelens.engine.budget import Limits
from servelens.protocol import ProblemError, to_wire

PHOTO = photo(seed=7)
SESSION = open_session(seeded(TinyNet))
QUESTION = {
    "explain": [
        {"method": "grad_cam", "layers": ["last", "head", "stem"], "target": ["predicted", 2]},
        "saliency",
    ],
    "target": [1, 2, {"class": 0, "versus": 5}],
    "activations": "block",
    "stream": True,
}


def frames_of(session, image=PHOTO, **keys):
    return list(session.open_stream(request(image, **keys)))


def at(document, path):
    for step in path.split("/"):
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def without_times(wire):
    return {**wire, "cost": {**wire["cost"], "ms": None}}


def assert_same_wire(one, other):
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_wire(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for mine, others in zip(one, other, strict=True):
            assert_same_wire(mine, others)
    else:
        assert one == other


def test_the_last_frame_is_the_document_that_is_answered_without_a_stream():
    *_, last = frames_of(SESSION, **QUESTION)
    assert last.keys() == {"frame", "document"} and last["frame"] == "document"
    whole = to_wire(document(SESSION, PHOTO, **{**QUESTION, "stream": False}))
    assert_same_wire(without_times(last["document"]), without_times(whole))


def test_each_partial_is_a_map_of_the_document_under_its_path():
    *early, last = frames_of(SESSION, **QUESTION)
    partials = [frame for frame in early if frame["frame"] == "partial"]
    for frame in partials:
        assert frame.keys() == {"frame", "path", "tensor"}
        np.testing.assert_array_equal(at(last["document"], frame["path"]), frame["tensor"])
    paths = [frame["path"] for frame in partials]
    assert len(set(paths)) == len(paths)
    with_map = [
        f"attributions/{index}/map"
        for index, item in enumerate(last["document"]["attributions"])
        if item["map"] is not None
    ]
    assert sorted(paths) == sorted(with_map), "every map comes early"


def test_progress_counts_the_passes_to_their_end():
    *early, last = frames_of(SESSION, **QUESTION)
    progress = [frame for frame in early if frame["frame"] == "progress"]
    cost = last["document"]["cost"]
    total = cost["forwards"] + cost["backwards"]
    assert [(frame["done"], frame["total"]) for frame in progress] == [
        (done, total) for done in range(1, total + 1)
    ]
    for frame in progress:
        assert frame.keys() == {"frame", "done", "total", "text"}
        assert frame["text"]


def test_maps_come_as_soon_as_their_pass_is_made():
    """Not all of them at the end."""
    kinds = [frame["frame"] for frame in frames_of(SESSION, **QUESTION)]
    assert kinds[0] == "progress" and kinds[-1] == "document"
    first_partial = kinds.index("partial")
    assert "progress" in kinds[first_partial:-2]
    assert kinds.count("document") == 1


@pytest.mark.parametrize("keys", [{}, {"activations": "*"}, {"explain": "saliency"}])
def test_every_frame_can_be_written(keys):
    for frame in frames_of(SESSION, stream=True, **keys):
        assert b"\n" not in write_json(pack_json(frame))


def test_a_bare_prediction_can_be_streamed():
    *_, last = frames_of(SESSION, stream=True, top_k=2)
    assert [p["index"] for p in last["document"]["predictions"]] == [
        p.index for p in document(SESSION, PHOTO, top_k=2).predictions
    ]


@pytest.mark.parametrize(
    ("image", "keys", "type"),
    [
        (b"no image", {}, "bad_image"),
        (png_header(60000, 60000), {}, "too_many_pixels"),
        (PHOTO, {"explain": "no_method"}, "unknown_method"),
        (
            PHOTO,
            {"explain": ["saliency", {"method": "grad_cam", "layer": "none"}]},
            "unknown_layer",
        ),
        (PHOTO, {"target": "none", "explain": "saliency"}, "unknown_class"),
        (PHOTO, {"activations": {"layers": ["last"], "channels": [99]}}, "bad_value"),
        (PHOTO, {"explain": "saliency", "budget_ms": 0}, "over_budget"),
    ],
)
def test_everything_is_checked_before_the_first_frame(image, keys, type):
    with pytest.raises(ProblemError) as caught:
        SESSION.open_stream(request(image, stream=True, **keys))
    assert caught.value.problem.type == type


def test_a_failure_of_the_model_is_the_last_frame():
    session = open_session(seeded(MoodyNet))
    session.model.module.fails_on_white = True
    frames = frames_of(session, plain(255), explain="saliency", stream=True)
    assert [frame["frame"] for frame in frames] == ["problem"]
    assert frames[-1]["problem"]["code"] == 500
    assert frames[-1]["problem"]["type"] == "internal"


def test_running_out_of_memory_is_the_last_frame():
    session = open_session(seeded(MoodyNet))
    session.model.module.most_rows = 0
    *_, last = frames_of(session, explain="saliency", stream=True)
    assert (last["frame"], last["problem"]["code"]) == ("problem", 507)


def test_an_answer_that_is_too_large_is_the_last_frame():
    session = open_session(seeded(TinyNet), limits=Limits(response_bytes=3000))
    *early, last = frames_of(session, explain="saliency", dtype="float32", stream=True)
    assert last["frame"] == "problem"
    assert last["problem"]["type"] == "response_too_large"
    assert early, "what was found before has been told"


@pytest.mark.parametrize(
    ("session", "image"),
    [
        (open_session(seeded(OverflowNet, where="gradient")), plain(255)),
        (open_session(seeded(CutNet)), PHOTO),
    ],
)
def test_a_map_that_the_document_does_not_have_is_no_frame_either(session, image):
    frames = frames_of(session, image, explain="saliency", stream=True)
    assert [frame["frame"] for frame in frames] == ["progress", "progress", "document"]
    assert frames[-1]["document"]["attributions"][0]["map"] is None
    for frame in frames:
        write_json(pack_json(frame))
