"""A caller's own division of the image, in place of a grid."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from servelens.protocol import Drawing


@dataclass(frozen=True)
class Segments:
    """`of` says which segment, from 0 to `count` - 1, each pixel of the model's input lies in. What
    is drawn alike is equal, so that methods may share the images that are made from it."""

    drawing: Drawing
    count: int = field(compare=False)
    of: np.ndarray = field(compare=False, repr=False)
