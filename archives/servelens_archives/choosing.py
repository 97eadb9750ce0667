"""Which method an archive explains with by default, by the trust cards of its maps.

Pure: numbers in, a choice with its reasons out. What the numbers mean, docs/protocol.md says.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from servelens.engine.capability import USUAL_PLANS
from servelens.protocol import to_wire
from servelens.protocol.capability import Judged, PlanEvidence
from servelens_archives.examples import Examples

MOST_LIKE_UNTRAINED = 0.5
LEAST_STABLE = 0.5
# Less apart than this two methods are as good: twin maps differ by rounding alone.
AS_GOOD = 0.01
# Enough for a reader, and coarser than what rounding does to a map's order.
DIGITS = 3
RULE = (
    "Candidates are the methods that ask for a class and take one pass forward and one back. Out "
    "is one that gains nothing on a random map in deletion and insertion, whose stability is below "
    f"{LEAST_STABLE} or whose sanity is above {MOST_LIKE_UNTRAINED}. The score is the mean of what "
    "deletion and insertion gain and, where photos have masks, of pointing and mass; a map without "
    "a number that others have counts as 0. The highest score is chosen; of those within "
    f"{AS_GOOD} of it the usual one, else the first by name."
)

Card = Mapping[str, float | None]


@dataclass(frozen=True)
class Choice:
    """The best first; `chosen` is None where all are out."""

    chosen: str | None
    why: str
    judged: tuple[Judged, ...]

    def as_evidence(self, examples: Examples) -> dict[str, Any]:
        """What the archive keeps of it."""
        evidence: dict[str, Any] = to_wire(
            PlanEvidence(
                chosen=self.chosen,
                why=self.why,
                rule=RULE,
                photos=len(examples.used),
                photos_found=examples.found,
                masks=examples.masks,
                methods=self.judged,
            )
        )
        return evidence


def choose(cards: Mapping[str, Sequence[Card]]) -> Choice:
    """By each candidate's cards, one a photo."""
    gains = {name: [_with_gains(card) for card in of_photos] for name, of_photos in cards.items()}
    judged = sorted((_judge(name, gains) for name in gains), key=_order)
    fit = [one for one in judged if one.out is None]
    if not fit:
        words = "no method passed" if judged else "this model supports no candidate"
        return Choice(None, words + _outs(judged), tuple(judged))
    as_good = [one.method for one in fit if round(_score(fit[0]) - _score(one), DIGITS) < AS_GOOD]
    chosen = min(as_good, key=_habit)
    return Choice(chosen, _why(chosen, as_good, judged), tuple(judged))


def _with_gains(card: Card) -> dict[str, float | None]:
    return {
        **card,
        "deletion_gain": _gain(card, "random_deletion_auc", "deletion_auc"),
        "insertion_gain": _gain(card, "insertion_auc", "random_insertion_auc"),
    }


def _gain(card: Card, more: str, less: str) -> float | None:
    higher, lower = card.get(more), card.get(less)
    return None if higher is None or lower is None else higher - lower


def _judge(name: str, cards: Mapping[str, Sequence[Card]]) -> Judged:
    gained, inserted, pointing, mass = (
        _mean_against(cards, name, number)
        for number in ("deletion_gain", "insertion_gain", "pointing", "mass")
    )
    stability, sanity = (_mean_of_own(cards[name], number) for number in ("stability", "sanity"))
    score = _mean([gained, inserted, pointing, mass])
    return Judged(
        method=name,
        score=score,
        deletion_gain=gained,
        insertion_gain=inserted,
        pointing=pointing,
        mass=mass,
        stability=stability,
        sanity=sanity,
        out=_why_out(score, _mean([gained, inserted]), stability, sanity),
    )


def _mean_against(cards: Mapping[str, Sequence[Card]], name: str, number: str) -> float | None:
    """Over the photos on which any method has the number: who has none there says nothing."""
    photos = zip(*cards.values(), strict=True)
    asked = [any(card.get(number) is not None for card in photo) for photo in photos]
    return _mean(
        [card.get(number) or 0.0 for card, counts in zip(cards[name], asked, strict=True) if counts]
    )


def _mean_of_own(cards: Sequence[Card], number: str) -> float | None:
    return _mean([card.get(number) for card in cards])


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return round(statistics.fmean(found), DIGITS) if found else None


def _why_out(
    score: float | None, gain: float | None, stability: float | None, sanity: float | None
) -> str | None:
    if score is None:
        return "none of its maps could be judged"
    if gain is not None and gain <= 0:
        return f"no better than a random map (gain {gain:g})"
    if stability is not None and stability < LEAST_STABLE:
        return f"slight noise changes it (stability {stability:g})"
    if sanity is not None and sanity > MOST_LIKE_UNTRAINED:
        return f"random weights draw it too (sanity {sanity:g})"
    return None


def _order(judged: Judged) -> tuple[bool, float, str]:
    return judged.out is not None, -_score(judged), judged.method


def _score(judged: Judged) -> float:
    return judged.score or 0.0


def _habit(method: str) -> tuple[int, str]:
    usual = USUAL_PLANS.index(method) if method in USUAL_PLANS else len(USUAL_PLANS)
    return usual, method


def _why(chosen: str, as_good: Sequence[str], judged: Sequence[Judged]) -> str:
    score = next(one.score for one in judged if one.method == chosen)
    fit = sum(one.out is None for one in judged)
    others = ", ".join(name for name in as_good if name != chosen)
    place = f"within {AS_GOOD} of the best" if others else "the best"
    alike = f", as do {others}" if others else ""
    return f"{chosen} scores {score:g}, {place} of {fit} methods that passed{alike}{_outs(judged)}"


def _outs(judged: Sequence[Judged]) -> str:
    """The end of a sentence."""
    outs = [f"{one.method}, {one.out}" for one in judged if one.out is not None]
    return f". Out: {'; '.join(outs)}." if outs else "."
