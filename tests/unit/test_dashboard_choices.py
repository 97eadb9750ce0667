"""What can be chosen of what a capability document lists, and what a choice makes of the view."""

from __future__ import annotations

from typing import Any, cast

import pytest

from servelens_dashboard.callbacks.steering import choose_class
from servelens_dashboard.components.choices import class_picker, method_choice, method_picker
from servelens_dashboard.lens import Lens
from servelens_dashboard.url_state import View

# No choice of a class asks anything.
NOBODY = cast(Lens, None)
METHODS: list[dict[str, Any]] = [
    {"name": "rise", "title": "RISE", "family": "perturbation", "supported": True},
    {
        "name": "lrp",
        "title": "LRP",
        "family": "gradient",
        "supported": False,
        "reason": "it has no rule for GELU",
    },
    {"name": "occlusion", "title": "Occlusion", "family": "perturbation", "supported": True},
]


def test_two_classes_of_one_name_are_two() -> None:
    choice = class_picker([*map(str, range(134)), "crane", "crane"])
    assert choice.value is None
    assert choice.data[0] == {"value": "predicted", "label": "the predicted one"}
    assert choice.data[-2:] == [
        {"value": "134", "label": "crane (134)"},
        {"value": "135", "label": "crane (135)"},
    ]


@pytest.mark.parametrize(
    ("before", "chosen", "after"),
    [
        (View(), "7", View(target=7)),
        (View(target=3, versus=7), "7", View(target=7)),
        (View(target=3, versus=7), "predicted", View()),
        (View(target=3, versus=7), "3", View(target=3)),
        (View(target=3), None, None),
    ],
)
def test_a_chosen_class_is_explained_and_no_longer_set_against_another(
    before: View, chosen: str | None, after: View | None
) -> None:
    assert choose_class(NOBODY, before, None, chosen) == after


def test_methods_stand_by_families_and_say_why_a_model_cannot_take_them() -> None:
    cannot = {"value": "lrp", "label": "LRP (it has no rule for GELU)", "disabled": True}
    by_families = [
        {"group": "gradient", "items": [cannot]},
        {
            "group": "perturbation",
            "items": [
                {"value": "occlusion", "label": "Occlusion"},
                {"value": "rise", "label": "RISE"},
            ],
        },
    ]
    for choice, chosen in (
        (method_picker(METHODS), None),
        (method_choice(METHODS, "rise"), "rise"),
    ):
        assert (choice.data, choice.value, choice.disabled) == (by_families, chosen, False)
    assert method_picker([]).disabled
