"""What predictions become of when a channel is silenced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from servelens.protocol import Prediction
from servelens_dashboard.figures.look import chance, number

MOST_ROWS = 5
# Of a probability; what is less is no change.
DECIMALS = 4


@dataclass(frozen=True)
class Change:
    """One class, as the model is and with the channel silenced."""

    before: Prediction
    after: Prediction

    @property
    def probability(self) -> str:
        return _signed(round(self.after.probability - self.before.probability, DECIMALS))

    @property
    def logit(self) -> str:
        return _signed(self.after.logit - self.before.logit)


def changes(
    before: Sequence[Prediction], after: Sequence[Prediction], target: int | None = None
) -> tuple[Change, ...]:
    """The first classes, the one that would be first then, and the one that is looked at; of those
    that are told both before and after."""
    then = {prediction.index: prediction for prediction in after}
    wanted = {target, *(prediction.index for prediction in after[:1])}
    return tuple(
        Change(prediction, then[prediction.index])
        for place, prediction in enumerate(before)
        if (place < MOST_ROWS or prediction.index in wanted) and prediction.index in then
    )


def sentence(before: Sequence[Prediction], after: Sequence[Prediction]) -> str:
    if not before or not after:
        return "The model says nothing."
    was, now = before[0], after[0]
    if was.index == now.index:
        what = f"still says {was.label}: {chance(was.probability)} becomes"
        return f"Without it the model {what} {chance(now.probability)}."
    instead = f"{now.label}, {chance(now.probability)}, instead of"
    return f"Without it the model says {instead} {was.label}, {chance(was.probability)}."


def _signed(by: float) -> str:
    return f"{'+' if by > 0 else ''}{number(by)}" if by else "±0"
