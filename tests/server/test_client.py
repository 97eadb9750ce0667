"""The client against a real TorchServe: every call it has, and what it makes of the answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lens_caller import Lens, form
from lens_fixtures import LABELS, MODELS
from lens_pictures import photo, plain, scene

from servelens import codec
from servelens.client import (
    BadName,
    KeyFile,
    LensProblem,
    NoKey,
    NoKeys,
    Refused,
    Server,
    Tokens,
    TooSlow,
    in_order,
)


@pytest.fixture
def server(lens: Lens) -> Server:
    return lens.server.client


def test_health_and_models(server: Server) -> None:
    assert server.health() == "Healthy"
    assert sorted(server.models()) == sorted(MODELS)


def test_a_model_is_described_with_its_workers_and_batching(server: Server) -> None:
    rows = server.describe("rows")
    assert (rows.name, rows.version, rows.archive) == ("rows", "1.0", "tiny.mar")
    assert (rows.batch_size, rows.batch_delay_ms) == (4, 300)
    assert rows.is_ready
    assert all(worker.pid > 0 and worker.memory_bytes >= 0 for worker in rows.workers)
    assert [version.version for version in server.versions("rows")] == ["1.0"]


def test_the_stock_answer_and_a_prediction_agree(server: Server) -> None:
    stock = server.classify("stock", photo())
    result = server.predict("tiny", photo(), top_k=5)
    assert {p.label: pytest.approx(p.probability, abs=1e-5) for p in result.predictions} == stock
    assert result.attributions == result.activations == ()


@pytest.mark.parametrize("given", ["bytes", "path", "image", "array"])
def test_a_photo_may_come_in_any_of_its_forms(server: Server, tmp_path: Path, given: str) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(photo())
    forms = {"bytes": photo(), "path": path, "image": scene(0), "array": np.asarray(scene(0))}
    expected = server.predict("tiny", photo()).predictions
    assert server.predict("tiny", forms[given]).predictions == expected


def test_an_explanation_is_what_the_wire_has(lens: Lens, server: Server) -> None:
    """Asked without the client, the same document comes."""
    asked = {"explain": ["grad_cam", "saliency"], "target": "star", "top_k": 3}
    result = server.explain("tiny", photo(), ["grad_cam", "saliency"], target="star", top_k=3)
    document = lens.document(form(photo(), **asked))
    assert len(result.predictions) == 3
    assert [entry.method for entry in result.attributions] == ["grad_cam", "saliency"]
    assert result.model.digest == document["model"]["digest"]
    for ours, theirs in zip(result.attributions, document["attributions"], strict=True):
        assert ours.target is not None and ours.target.label == "star"
        np.testing.assert_array_equal(ours.to_numpy(), theirs["map"])
    assert result.origin is not None
    assert result.origin.photo == photo()
    assert result.origin.asked["target"] == "star"


def test_without_a_method_the_archives_own_plan_is_run(server: Server) -> None:
    (entry,) = server.explain("tiny", photo()).attributions
    assert entry.method == "grad_cam"
    assert entry.map is not None and entry.map.ndim == 2


def test_activations_are_those_that_json_has_but_smaller(lens: Lens, server: Server) -> None:
    result = server.activations("tiny", photo(), {"layers": ["stem"], "channels": "all"})
    call = form(photo(), activations={"layers": ["stem"], "channels": "all"})
    (theirs,) = lens.document(call)["activations"]
    (ours,) = result.activations
    np.testing.assert_array_equal(ours.to_numpy(), theirs["maps"])
    assert ours.statistics is not None
    assert ours.statistics.mean == pytest.approx(ours.to_numpy().mean(), rel=1e-3)


def test_512_channels_take_few_more_bytes_than_their_halves(lens: Lens) -> None:
    """All channels that the small network has of one layer, as npz."""
    call = form(photo(), activations={"layers": ["stem"], "channels": "all"}, format="npz")
    body = lens.ask(call).content
    (entry,) = codec.read_npz(body)["activations"]
    assert len(body) < 1.3 * 2 * entry["maps"].size


def test_ask_describe_and_stream(server: Server) -> None:
    capability = server.capability("tiny")
    assert capability["labels"] == list(LABELS)
    bare = server.ask("tiny", photo(), top_k=1)
    assert [p["label"] for p in bare["predictions"]] == [
        server.predict("tiny", photo()).predictions[0].label
    ]
    frames = list(server.stream("tiny", photo(), explain="occlusion"))
    assert {frame["frame"] for frame in frames} >= {"progress", "document"}
    whole = server.explain("tiny", photo(), "occlusion").attributions[0].to_numpy()
    last = frames[-1]["document"]["attributions"][0]["map"]
    np.testing.assert_allclose(last, whole, atol=1e-3 * np.abs(whole).max())


def test_what_servelens_says_comes_as_it_said_it(server: Server) -> None:
    with pytest.raises(LensProblem, match="did you mean 'block'") as caught:
        server.explain("tiny", photo(), {"method": "grad_cam", "layer": "blok"})
    assert caught.value.status == 400
    assert caught.value.problem["type"] == "unknown_layer"
    with pytest.raises(LensProblem) as caught:
        server.predict("tiny", b"no picture")
    assert caught.value.problem["type"] == "bad_image"


def test_what_torchserve_says_is_a_refusal(server: Server) -> None:
    with pytest.raises(Refused, match="Model not found") as caught:
        server.predict("nobody", photo())
    assert (type(caught.value), caught.value.status) == (Refused, 404)
    with pytest.raises(Refused):
        server.describe("tiny", "9.9")
    with pytest.raises(BadName):
        server.predict("..", photo())


def test_a_stock_model_that_cannot_describe_itself_is_refused(server: Server) -> None:
    with pytest.raises(Refused):
        server.capability("stock")


@pytest.mark.parametrize("keys", [NoKeys(), Tokens({"inference": "wrong", "management": "wrong"})])
def test_without_its_key_a_server_lets_nobody_in(lens: Lens, keys: object) -> None:
    management = lens.server.client.management
    with Server(lens.server.url, management, keys) as stranger:  # type: ignore[arg-type]
        for ask in (
            lambda: stranger.predict("tiny", photo()),
            stranger.models,
            lambda: stranger.unregister("tiny"),
        ):
            with pytest.raises(Refused) as caught:
                ask()
            assert caught.value.status == 400 or caught.value.status in (401, 403)


def test_a_key_file_that_is_gone_is_named_and_nothing_is_asked(lens: Lens, tmp_path: Path) -> None:
    with (
        Server(lens.server.url, keys=KeyFile(tmp_path / "gone.json")) as lost,
        pytest.raises(NoKey, match="gone.json"),
    ):
        lost.predict("tiny", photo())


def test_patience_ends_before_a_batch_is_full(lens: Lens) -> None:
    """Alone, a photo waits 300 ms for others to share its batch."""
    keys = KeyFile(lens.server.key_file or Path())
    with (
        Server(lens.server.url, keys=keys, timeout_s=0.1) as hasty,
        pytest.raises(TooSlow, match="within 0.1 s"),
    ):
        hasty.predict("rows", photo())
    lens.bare(photo(), "rows")


def test_many_photos_are_answered_in_order_with_the_bad_one_in_its_place(server: Server) -> None:
    colours = ["red", "green", "blue", "white"]
    photos = [plain(colour) for colour in colours]
    alone = [server.predict("rows", one).predictions for one in photos]
    mixed = [*photos[:2], b"no picture", *photos[2:]]
    answers = list(in_order(lambda one: server.predict("rows", one), mixed, at_once=4))
    assert isinstance(answers.pop(2), LensProblem)
    for answer, expected in zip(answers, alone, strict=True):
        assert not isinstance(answer, Exception)
        assert [p.label for p in answer.predictions] == [p.label for p in expected]
        assert [p.logit for p in answer.predictions] == pytest.approx(
            [p.logit for p in expected], abs=1e-4
        )


def test_a_real_answer_saves_and_shows_itself(server: Server, tmp_path: Path) -> None:
    result = server.explain("tiny", photo(), ["grad_cam", "saliency"], activations="stem")
    assert result._repr_html_().count("<img") == 4
    assert len(result.to_matplotlib().axes) >= 4
    back = codec.read_npz(result.save(tmp_path / "all.npz").read_bytes())["answer"]
    for index, entry in enumerate(result.attributions):
        np.testing.assert_array_equal(back["attributions"][index]["map"], entry.to_numpy())
    folder = result.save(tmp_path / "all")
    assert len(list(folder.glob("*.png"))) == 4


def test_a_model_lives_from_register_to_unregister(server: Server) -> None:
    server.register("tiny.mar", "guest", workers=0)
    try:
        assert not server.describe("guest").is_ready
        server.scale("guest", 1)
        assert server.describe("guest").is_ready
        server.set_default("guest", "1.0")
        expected = server.predict("tiny", photo()).predictions[0]
        got = server.predict("guest", photo(), version="1.0").predictions[0]
        assert (got.label, got.logit) == (expected.label, pytest.approx(expected.logit, abs=1e-5))
        with pytest.raises(Refused) as caught:
            server.register("tiny.mar", "guest")
        assert caught.value.status == 409
    finally:
        server.unregister("guest")
    assert "guest" not in server.models()
    with pytest.raises(Refused, match="not found"):
        server.register("nowhere.mar", "nowhere")
