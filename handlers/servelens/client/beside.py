"""What an answer may have beside its maps, in HTML: predictions of a changed model, and weights."""

from __future__ import annotations

from collections.abc import Iterator

from servelens.client.markup import Markup, element, table
from servelens.client.results import Result
from servelens.client.wording import number
from servelens.protocol import Ablation, Prediction, Weights

# Of each side; a model may tell of a thousand classes.
MOST_CLASSES = 10
STATISTICS = ("count", "mean", "std", "norm", "min", "max", "near_zero")
NOTHING = "–"


def beside(result: Result) -> Iterator[Markup]:
    if result.ablation is not None:
        yield _ablation(result.ablation)
    for weights in result.weights or ():
        yield _weights(weights)


def _ablation(told: Ablation) -> Markup:
    title = element("h3", "What becomes of the predictions")
    if told.problem is not None:
        return element("section", title, element("p", told.problem.words))
    before, after = ({one.index: one for one in side} for side in (told.before, told.after))
    first = (*told.before[:MOST_CLASSES], *told.after[:MOST_CLASSES])
    rows = (
        (str(index), label, *_numbers(before.get(index)), *_numbers(after.get(index)))
        for index, label in dict.fromkeys((one.index, one.label) for one in first)
    )
    head = ("class", "label", "before", "its logit", "after", "its logit then")
    return element("section", title, table(head, rows))


def _numbers(told: Prediction | None) -> tuple[str, str]:
    if told is None:
        return NOTHING, NOTHING
    return f"{told.probability:.2%}", number(told.logit)


def _weights(told: Weights) -> Markup:
    title = element("h3", f"Weights of {told.layer}")
    if told.statistics is None:
        why = "none were told" if told.problem is None else told.problem.words
        return element("section", title, element("p", why))
    named = ((name.replace("_", " "), getattr(told.statistics, name)) for name in STATISTICS)
    rows = [(name, f"{value:,}" if name == "count" else number(value)) for name, value in named]
    shape = " × ".join(map(str, told.shape or ()))
    return element("section", title, table(("what", "of all"), [("shape", shape), *rows]))
