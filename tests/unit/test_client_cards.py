"""A trust card in reports and notebooks: said, judged, drawn and escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from client_fixtures.documents import attribution, document, photo
from client_fixtures.markup import EVIL, Seen

from servelens.client import Result
from servelens.client.cards import HEIGHT, LEFT, TOP, WIDTH

FALL, RISE = [1.0, 0.25, 0.0], [0.0, 0.5, 1.0]
CURVES = {
    "deletion": FALL,
    "insertion": RISE,
    "random_deletion": [1.0, 1.0, 0.0],
    "random_insertion": [0.0, 0.0, 1.0],
}
CARD: dict[str, Any] = {
    "completeness": None,
    "deletion_auc": 0.375,
    "insertion_auc": 0.5,
    "random_deletion_auc": 0.75,
    "random_insertion_auc": 0.25,
    "stability": 0.9,
    "sanity": 0.95,
    "pointing": None,
    "mass": None,
    "curves": CURVES,
    "compared_with": {"sanity": "1 is the same map", "mass": "no mask was given"},
    "forwards": 68,
}


def shown(**changed: Any) -> Seen:
    card = {**CARD, **changed}
    (entry,) = Result.of(document(attributions=[attribution(trust=card)]), photo()).attributions
    return Seen(entry._repr_html_())


def lines(seen: Seen) -> list[list[tuple[float, float]]]:
    """The drawn points of each curve."""
    drawn = [str(given["points"]) for tag, given in seen.tags if tag == "polyline"]
    return [[tuple(map(float, pair.split(","))) for pair in points.split()] for points in drawn]  # type: ignore[misc]


def test_a_card_says_what_passed_and_what_failed() -> None:
    text = shown().text
    for words in (
        "Is it to be believed? grad_cam at stem for disc",
        "Removing what it marks drops the score 2.5 times faster than removing at random: good;",
        "the map stays much the same (0.95 alike): bad",
        "sanity: bad",
        "mass: no mask was given",
        "1 is the same map",
    ):
        assert words in text, words


def test_curves_go_through_their_numbers() -> None:
    random, marked, *_ = lines(shown())
    assert marked == [
        (LEFT, TOP),
        (LEFT + WIDTH / 2, TOP + 0.75 * HEIGHT),
        (LEFT + WIDTH, TOP + HEIGHT),
    ]
    assert random == [(LEFT, TOP), (LEFT + WIDTH / 2, TOP), (LEFT + WIDTH, TOP + HEIGHT)]


@pytest.mark.parametrize(
    "curves", [None, {name: [] for name in CURVES}, {**CURVES, "deletion": [0.5]}]
)
def test_curves_that_are_none_or_odd_hold_up_nothing(curves: Any) -> None:
    assert "Is it to be believed?" in shown(curves=curves).text


def test_what_a_server_says_of_a_card_is_text() -> None:
    seen = shown(compared_with={"sanity": EVIL, "mass": EVIL, EVIL: EVIL})
    assert "script" not in {tag for tag, _ in seen.tags}
    assert seen.text.count("<script>") == 4


def test_a_report_has_the_card_of_each_map_that_was_checked(tmp_path: Path) -> None:
    maps = [attribution(trust=CARD), attribution(method="saliency", layer=None)]
    result = Result.of(document(attributions=maps), photo())
    report = result.save(tmp_path / "a.html").read_text(encoding="utf-8")
    seen = Seen(report.removeprefix("<!DOCTYPE html>\n").replace("<meta ", "<br "))
    assert seen.text.count("Is it to be believed?") == 1
    assert "script" not in {tag for tag, _ in seen.tags}
