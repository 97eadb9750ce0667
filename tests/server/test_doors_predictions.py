"""/predictions with nothing but an image: what TorchServe's own image_classifier would answer."""

from __future__ import annotations

import pytest
import requests
from lens_caller import PATIENCE_S, Lens, as_json, form, raw
from lens_pictures import photo, plain, saved, scene, sixteen_bits

ODD_PICTURES = {
    "grey": saved(scene().convert("L")),
    "grey with alpha": saved(scene().convert("LA")),
    "palette": saved(scene().convert("P")),
    "alpha": saved(scene().convert("RGBA")),
    "sixteen bits": saved(sixteen_bits()),
    "print colours": saved(scene().convert("CMYK"), "JPEG"),
}


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(photo(0), id="png"),
        pytest.param(saved(scene(1, 640, 200), "JPEG"), id="wide jpeg"),
        pytest.param(saved(scene(2, 60, 90), "JPEG"), id="small jpeg"),
    ],
)
def test_a_bare_image_gets_the_stock_handlers_answer(lens: Lens, image: bytes) -> None:
    ours, stock = lens.bare(image), lens.bare(image, "stock")
    assert list(ours) == list(stock), "the same five classes in the same order"
    assert len(ours) == 5
    assert ours == pytest.approx(stock, abs=1e-5)
    assert max(ours.values()) > min(ours.values()) + 0.05, "the classes are told apart"


def test_photos_are_told_apart(lens: Lens) -> None:
    """Without this, the comparison with the stock handler would say little."""
    first, second = lens.bare(photo(0)), lens.bare(photo(1))
    assert any(abs(first.get(label, 0) - second.get(label, 0)) > 0.01 for label in first)


@pytest.mark.parametrize("kind", ODD_PICTURES)
def test_a_picture_that_the_stock_handler_fails_on_is_answered(lens: Lens, kind: str) -> None:
    """Fact 26."""
    picture = ODD_PICTURES[kind]
    stock = lens.ask(raw(picture), "stock")
    assert (stock.status_code, stock.json()["message"]) == (503, "Prediction failed")
    assert len(lens.bare(picture)) == 5


@pytest.mark.parametrize("mode", ["RGBA", "CMYK"])
def test_the_same_picture_in_other_colours_is_the_same_to_the_model(lens: Lens, mode: str) -> None:
    kind = "PNG" if mode == "RGBA" else "TIFF"
    other = lens.bare(saved(scene().convert(mode), kind))
    assert other == pytest.approx(lens.bare(photo(0)), abs=1e-3)


def test_sixteen_bits_of_grey_are_as_good_as_eight(lens: Lens) -> None:
    eight = lens.bare(saved(scene(3).convert("L")))
    assert lens.bare(ODD_PICTURES["sixteen bits"]) == pytest.approx(eight, abs=1e-5)


def test_a_model_of_three_classes_is_answered_with_three(lens: Lens) -> None:
    """Fact 26: the stock handler asks for the top five of however many there are."""
    document = lens.document(form(photo(0), top_k=3), "touchy")
    assert len(document["predictions"]) == 3
    assert sum(p["probability"] for p in document["predictions"]) == pytest.approx(1)
    assert set(lens.bare(photo(0), "touchy")) == {"crane", "heron"}, "two classes bear one name"


def test_the_answer_is_json_and_says_so(lens: Lens) -> None:
    """Fact 9."""
    answer = lens.ask(raw(photo(0)))
    assert answer.headers["Content-Type"] == "application/json"
    assert b"\n" not in answer.content


@pytest.mark.parametrize(
    "call",
    [
        raw(photo(0), headers={"Content-Type": "image/png"}),
        raw(photo(0), headers={}),
        form(photo(0)),
        as_json(photo(0)),
    ],
    ids=["image type", "no type", "form", "json"],
)
def test_an_image_in_any_shape_is_a_bare_image(lens: Lens, call: object) -> None:
    answer = lens.ask(call)  # type: ignore[arg-type]
    assert answer.content == lens.ask(raw(photo(0))).content


def test_an_image_may_be_put_as_curl_does_it(lens: Lens) -> None:
    """`curl -T photo.png URL` sends PUT, and names no type."""
    answer = requests.put(
        f"{lens.server.url}/predictions/tiny",
        data=photo(0),
        headers=lens.server.authorization(),
        timeout=PATIENCE_S,
    )
    assert answer.json() == lens.bare(photo(0))


@pytest.mark.parametrize("field", ["image", "data", "body"])
def test_the_images_field_may_have_any_of_three_names(lens: Lens, field: str) -> None:
    call = form()
    call.how["files"][field] = ("photo.png", photo(0))
    assert lens.ask(call).json() == lens.bare(photo(0))


def test_a_version_may_stand_in_the_path(lens: Lens) -> None:
    assert lens.bare(photo(0), "tiny/1.0") == lens.bare(photo(0))
    explained = lens.document(form(photo(0), door="explanations"), "tiny/1.0")
    assert explained["model"]["version"] == "1.0"
    assert lens.ask(raw(photo(0)), "tiny/2.0").status_code == 404


def test_a_query_string_changes_nothing(lens: Lens) -> None:
    """Fact 12: it never reaches a handler, so that nothing of ours can be asked for there."""
    answer = lens.ask(raw(photo(0)), params={"explain": "true", "top_k": 1})
    assert answer.json() == lens.bare(photo(0))


def test_a_slow_photo_is_answered_all_the_same(lens: Lens) -> None:
    """The colour that the tests of timing use is a photo like any other."""
    assert set(lens.bare(plain("red"), "touchy")) == {"crane", "heron"}
