"""Where a map's evidence for a class lies, as shares and as one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from servelens.client.pictures import smooth
from servelens.protocol import InputRef, Prediction, TargetRef
from servelens_dashboard.figures.look import chance, percent
from servelens_dashboard.figures.maps import Plane
from servelens_dashboard.figures.twin import Twin

Mask = NDArray[np.bool_]

# Finer than any map that points; a photo of many megapixels is not enlarged to.
FINEST = 512
# A corner is this much of each side, a sixteenth of what the model saw; it is spoken of where this
# share of the evidence lies in it.
CORNER = 0.25
MUCH = 0.5
HALF = 0.5


@dataclass(frozen=True)
class Evidence:
    """What speaks for the class, over what the model saw of the photo; nothing is below zero."""

    values: Plane
    seen: InputRef

    @classmethod
    def of(cls, values: Plane, seen: InputRef) -> Evidence:
        left, top, right, bottom = seen.crop
        size = min(FINEST, max(1, right - left)), min(FINEST, max(1, bottom - top))
        return cls(smooth(np.maximum(values, 0), size).astype(np.float64), seen)

    @property
    def total(self) -> float:
        return float(self.values.sum())

    def on(self, mask: Mask) -> float:
        """The share on a mask of the photo's size."""
        if mask.shape != (self.seen.height, self.seen.width):
            raise ValueError(
                f"the mask is {mask.shape[1]} by {mask.shape[0]} pixels and the photo "
                f"{self.seen.width} by {self.seen.height}; they must be as large"
            )
        height, width = self.values.shape
        white = Image.fromarray(mask.astype(np.uint8) * 255).crop(self.seen.crop)
        covered = np.asarray(white.resize((width, height), Image.Resampling.BOX)) / 255
        return self._share(covered)

    def corner(self) -> tuple[str, float]:
        """The corner with most of the evidence, and its share."""
        height, width = self.values.shape
        high, wide = max(1, round(height * CORNER)), max(1, round(width * CORNER))
        shares = {}
        for name_down, rows in (("upper", slice(high)), ("lower", slice(-high, None))):
            for name_right, columns in (("left", slice(wide)), ("right", slice(-wide, None))):
                covered = np.zeros_like(self.values)
                covered[rows, columns] = 1
                shares[f"{name_down} {name_right}"] = self._share(covered)
        best = max(shares, key=lambda name: shares[name])
        return best, shares[best]

    def half(self) -> float:
        """The smallest share of what the model saw that holds half of the evidence."""
        falling = np.sort(self.values, axis=None)[::-1].cumsum()
        if falling[-1] <= 0:
            return 0.0
        return float((np.searchsorted(falling, HALF * falling[-1]) + 1) / falling.size)

    def _share(self, covered: Plane) -> float:
        return float((self.values * covered).sum() / self.total) if self.total > 0 else 0.0


def sentence(who: str, evidence: Evidence, mask: Mask | None = None, thing: str = "shape") -> str:
    """Such as: disc, 0.98; 71 % of the evidence lies on the shape. `mask` is where the true cause
    is, if that is known."""
    if evidence.total <= 0:
        return f"{who}; nothing in the photo speaks for it."
    name, share = evidence.corner()
    places = [] if mask is None else [(evidence.on(mask), f"on the {thing}")]
    places += [(share, f"in the {name} corner")] if share >= MUCH else []
    if not places:
        half = percent(evidence.half())
        return f"{who}; half of the evidence lies on {half} of what the model saw."
    (first, where), *rest = places
    also = "".join(f", {percent(share)} {where}" for share, where in rest)
    return f"{who}; {percent(first)} of the evidence lies {where}{also}."


def who(target: TargetRef | None, predictions: Sequence[Prediction]) -> str:
    """The class that is explained, with its probability where that is known."""
    if target is None:
        return "whatever the class"
    if target.versus is not None:
        return f"{target.label} rather than {target.versus.label}"
    known = next((p.probability for p in predictions if p.index == target.index), None)
    return target.label if known is None else f"{target.label}, {chance(known)}"


def coarser(asked: Mapping[str, Any]) -> str:
    """`asked` is what was asked for and could not be had."""
    settings = ", ".join(f"{name} {value}" for name, value in asked.items())
    return f"made coarser to keep within the time allowed; asked for: {settings}"


def tell(said: str, evidence: Evidence, mask: Mask | None = None) -> Twin:
    name, share = evidence.corner()
    found: list[dict[str, str | float]] = [{"where": f"{name} corner", "share": share}]
    if mask is not None:
        found.insert(0, {"where": "where the true cause is", "share": evidence.on(mask)})
    return Twin(said, tuple(found))
