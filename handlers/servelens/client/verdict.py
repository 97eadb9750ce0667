"""What a trust card says in plain words: one finding a check, and one sentence of them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from servelens.client.wording import number, percent

# So much faster than at random the score must drop; within it either way is no difference.
FASTER = 1.1
# Less than this is no drop of the score, on average over the steps.
NO_DROP = 0.01
# Beyond this the ratio says no more than that it is large.
MANY_TIMES = 20
# Maps that correlate as much as this are called the same: bad once the weights are random, good
# once the photo has a little noise.
SAME = 0.5
STABLE = 0.7


class Card(Protocol):
    """What is read of a trust card; each number may be absent, for a check costs images."""

    @property
    def deletion_auc(self) -> float | None: ...
    @property
    def insertion_auc(self) -> float | None: ...
    @property
    def random_deletion_auc(self) -> float | None: ...
    @property
    def random_insertion_auc(self) -> float | None: ...
    @property
    def stability(self) -> float | None: ...
    @property
    def sanity(self) -> float | None: ...
    @property
    def mass(self) -> float | None: ...


@dataclass(frozen=True)
class Finding:
    """`good` is None where there is nothing to hold the number against."""

    check: str
    text: str
    good: bool | None

    @property
    def verdict(self) -> str:
        return {True: "good", False: "bad", None: "not judged"}[self.good]


def findings(card: Card, score: float) -> tuple[Finding, ...]:
    """`score` is the class's probability for the whole photo."""
    found = (
        _deletion(card, score),
        _insertion(card),
        _sanity(card.sanity),
        _stability(card.stability),
        _mass(card.mass),
    )
    return tuple(finding for finding in found if finding is not None)


def sentence(found: tuple[Finding, ...]) -> str:
    """The failed checks are said as plainly as the passed ones."""
    if not found:
        return "No check was made on this map."
    parts = [f.text if f.good is None else f"{f.text}: {f.verdict}" for f in found]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def not_checked(card: Card, reasons: Mapping[str, str]) -> tuple[str, ...]:
    """Why a number is none, for each of which that is told."""
    return tuple(
        f"{name}: {reason}" for name, reason in reasons.items() if getattr(card, name, None) is None
    )


def _deletion(card: Card, score: float) -> Finding | None:
    if card.deletion_auc is None or card.random_deletion_auc is None:
        return None
    marked, random = score - card.deletion_auc, score - card.random_deletion_auc
    start = "removing what it marks"
    if marked < NO_DROP:
        return Finding("deletion", f"{start} does not drop the score", False)
    if random < NO_DROP:
        return Finding("deletion", f"{start} drops the score, removing at random does not", True)
    times = marked / random
    if times >= FASTER:
        how = f"{_times(times)} times faster than"
    else:
        how = "no faster than" if times > 1 / FASTER else "slower than"
    return Finding("deletion", f"{start} drops the score {how} removing at random", times >= FASTER)


def _insertion(card: Card) -> Finding | None:
    if card.insertion_auc is None or card.random_insertion_auc is None:
        return None
    gain = card.insertion_auc - card.random_insertion_auc
    how = "sooner" if gain >= NO_DROP else "no sooner"
    text = f"showing what it marks brings the score back {how} than showing at random"
    return Finding("insertion", text, gain >= NO_DROP)


def _sanity(alike: float | None) -> Finding | None:
    if alike is None:
        return None
    changes = abs(alike) < SAME
    how = "changes" if changes else f"stays much the same ({number(alike)} alike)"
    return Finding("sanity", f"after randomising the weights the map {how}", changes)


def _stability(alike: float | None) -> Finding | None:
    if alike is None:
        return None
    same = alike >= STABLE
    how = "stays the same" if same else f"becomes another ({number(alike)} alike)"
    return Finding("stability", f"with a little noise in the photo the map {how}", same)


def _mass(share: float | None) -> Finding | None:
    if share is None:
        return None
    return Finding("mass", f"{percent(share)} of the evidence lies on the true cause", None)


def _times(ratio: float) -> str:
    return f"over {MANY_TIMES}" if ratio > MANY_TIMES else f"{ratio:.1f}"
