"""A reply above TorchServe's limit kills its worker; ours stay below a limit of their own.

Fact 3. Every test here ends with the workers that it began with, see the fixture `lens`.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from lens_caller import Lens, form
from lens_pictures import photo

PHOTO = photo(0)
LIMIT = 6_000_000
SERVERS_LIMIT = 6_553_500
ALL_CLASSES = [0, 1, 2, 3, 4, 5]
ALL_LAYERS = {"layers": ["*"], "channels": "all"}


def maps(count: int) -> dict[str, Any]:
    """So many saliency maps, of a quarter of a megabyte each in JSON."""
    whole, rest = divmod(count, len(ALL_CLASSES))
    plan: list[Any] = [{"method": "saliency", "target": ALL_CLASSES}] * whole
    plan += [{"method": "saliency", "target": ALL_CLASSES[:rest]}] if rest else []
    return {"explain": plan, "dtype": "float32"}


def test_the_server_takes_more_than_an_archive_gives(lens: Lens) -> None:
    properties = (lens.server.front_end.work / "config.properties").read_text()
    assert f"max_response_size={SERVERS_LIMIT}" in properties
    assert lens.ask(form(describe=True)).json()["limits"]["response_bytes"] == LIMIT < SERVERS_LIMIT


def test_an_answer_just_below_the_limit_is_whole(lens: Lens) -> None:
    answer = lens.ask(form(PHOTO, **maps(22)))
    assert 0.95 * LIMIT < len(answer.content) <= LIMIT
    assert len(lens.read_document(answer)["attributions"]) == 22


def test_an_answer_above_it_is_refused_and_npz_has_room_for_it(lens: Lens) -> None:
    problem = lens.problem(form(PHOTO, **maps(23)))
    assert problem["type"] == "response_too_large"
    assert f"the limit is {LIMIT:,}" in problem["message"]
    assert "npz" in problem["hint"]
    assert len(lens.document(form(PHOTO, format="npz", **maps(23)))["attributions"]) == 23


def test_ten_times_the_limit_is_refused_as_calmly(lens: Lens) -> None:
    for encoding in ("json", "npz"):
        problem = lens.problem(form(PHOTO, format=encoding, **maps(240)))
        assert problem["type"] == "response_too_large"


def test_a_stream_ends_with_a_problem_where_its_document_is_too_large(lens: Lens) -> None:
    frames = list(lens.server.client.stream("tiny", PHOTO, **maps(30)))
    assert sum(frame["frame"] == "partial" for frame in frames) == 30
    assert frames[-1]["frame"] == "problem"
    assert frames[-1]["problem"]["type"] == "response_too_large"


def test_a_frame_of_six_megabytes_is_read_as_fast_as_it_comes(lens: Lens) -> None:
    """Read in pieces of half a kilobyte, as requests does by itself, it takes twenty seconds."""
    started = time.monotonic()
    *_, last = lens.server.client.stream("tiny", PHOTO, **maps(22))
    assert len(last["document"]["attributions"]) == 22
    assert time.monotonic() - started < 10


def test_rows_just_below_the_limit_may_share_a_batch(lens: Lens) -> None:
    """The server's limit is one row's, not that of the message that all of them travel in."""
    whole, stream = form(PHOTO, **maps(22)), form(PHOTO, stream=True, **maps(22))
    answers = lens.together("rows", whole, stream, whole, whole)
    sizes = [len(lens.read_document(answer)["attributions"]) for answer in answers]
    assert sizes == [22] * 4
    assert sum(len(answer.content) for answer in answers) > 3 * SERVERS_LIMIT


def test_activations_that_do_not_fit_come_in_pages(lens: Lens) -> None:
    keys = {**maps(14), "activations": ALL_LAYERS}
    answer = lens.ask(form(PHOTO, **keys))
    assert 0.8 * LIMIT < len(answer.content) <= LIMIT
    page = lens.read_document(answer)
    alone = lens.document(form(PHOTO, activations=ALL_LAYERS, dtype="float32"))
    cut = {e["layer"]: e["next"]["channels"] for e in page["activations"] if e["next"]}
    assert cut, "the answer would have been above the limit"
    for entry, whole in zip(page["activations"], alone["activations"], strict=True):
        carried = [channel["index"] for channel in entry["channels"]]
        missing = cut.get(entry["layer"], [])
        assert carried + missing == [channel["index"] for channel in whole["channels"]]
        assert np.array_equal(entry["maps"], whole["maps"][: len(carried)])
    layer, missing = next(iter(cut.items()))
    asked = {"layers": [layer], "channels": missing}
    (rest,) = lens.document(form(PHOTO, activations=asked, dtype="float32"))["activations"]
    whole_maps = next(e["maps"] for e in alone["activations"] if e["layer"] == layer)
    assert np.array_equal(rest["maps"], whole_maps[-len(missing) :])
