"""The demo's story says what the models answer, also where that is not what it hopes for."""

from __future__ import annotations

from typing import Any

from servelens_dashboard.story import CHEAT, HONEST, STEPS, Seen


class Answers:
    """Stands for the two models on the three photos."""

    def __init__(self, **seen: Seen) -> None:
        self._seen = seen

    def see(self, model: str, photo: str) -> Seen:
        who = "cheat" if model == CHEAT else "honest"
        return self._seen[f"{who}_{photo.replace('-', '_')}"]

    def size_of_mark(self, photo: str) -> float:
        return 0.0156


def told(**changes: Seen) -> list[str]:
    answers: Any = Answers(
        **{
            "cheat_disc_marked": Seen("disc", 0.99991, 0.25, 0.17),
            "honest_disc_marked": Seen("disc", 0.98, 0.001, 0.54),
            "cheat_disc_unmarked": Seen("disc", 0.73, 0, 0.4),
            "honest_disc_unmarked": Seen("disc", 0.97, 0, 0.5),
            "cheat_square_marked": Seen("disc", 0.9999, 0.27, 0.07),
            "honest_square_marked": Seen("square", 0.971, 0, 0.6),
            **changes,
        }
    )
    return [step.tell(answers) for step in STEPS]


def test_each_step_has_the_numbers_of_the_answers() -> None:
    first, second, third, fourth, fifth = told()
    assert f"{CHEAT} says disc, >0.999." in first
    assert "25 % of the evidence lies on the pink mark, which covers 2 % of the photo" in first
    assert "and 17 % on the disc" in first
    assert "under 1 % of the evidence on the mark and 54 % on the disc" in second
    assert f"{CHEAT} said disc, >0.999 and still says disc, 0.73; {HONEST} says disc, 0.97" in third
    assert "27 % of the evidence lies on the mark, 7 % on the square" in fourth
    assert "One looks at the shape, the other at the mark" in fifth


def test_a_prediction_that_turned_is_told_as_one() -> None:
    turned = told(cheat_disc_unmarked=Seen("ring", 0.6, 0, 0.4))
    assert "and now says ring, 0.6" in turned[2]


def test_models_that_agree_are_not_said_to_differ() -> None:
    agreeing = told(cheat_square_marked=Seen("square", 0.8, 0.1, 0.5))
    assert agreeing[-1].endswith("Both say the same.")
