"""What a map lies over: the photo, or the model's own input where nobody knows what of the photo
that is."""

from __future__ import annotations

from dataclasses import dataclass

from servelens.client import Result
from servelens.protocol import InputRef
from servelens_dashboard.components.photo import photo_src
from servelens_dashboard.scene import Scene

NOT_KNOWN = (
    "What of the photo the model saw is not known: this archive's own handler prepares photos in a "
    "way that could not be measured. So the map lies over the model's own input, which may be the "
    "photo cut, turned or mirrored."
)


@dataclass(frozen=True)
class Ground:
    """`seen` is where the map lies: in the photo of this address, or in the input."""

    seen: InputRef
    photo: str | None

    @property
    def is_photo(self) -> bool:
        return self.photo is not None

    @property
    def why(self) -> str:
        """Nothing where it is as people expect."""
        return "" if self.is_photo else NOT_KNOWN


def ground(scene: Scene, result: Result) -> Ground:
    if result.input is not None:
        return Ground(result.input, photo_src(scene.view.photo or ""))
    height, width = scene.capability["input"]["size"]
    whole = InputRef(width, height, (0, 0, width, height), (height, width))
    return Ground(whole, None)
