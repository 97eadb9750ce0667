"""The colours of maps, the same in a worker, a notebook and the dashboard: cividis from zero up, or
blue to red with almost white at zero.

Both are told apart by people who do not see red and green, and grow evenly from dark to light.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

# Nuñez, Anderton and Renslow, 2018 (doi.org/10.1371/journal.pone.0199239), at 33 places of 256.
_CIVIDIS = """
00224e 00285b 002e6a 053371 1a386f 273e6e 32436d 3b496c 434e6c 4b546c 535a6d 5a5f6e 61656f 686a71
6f7073 767676 7d7c78 848279 8c8878 938e78 9b9476 a39a74 aba072 b4a76f bcae6c c4b468 cdbb63 d5c25e
dec958 e7d150 f0d846 f9e03a fee838
"""
# ColorBrewer's RdBu from its blue end.
_BLUE_RED = "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f"
LEVELS = 256


def palette(*, signed: bool, levels: int = LEVELS) -> np.ndarray:
    """[levels, 3] bytes; of an odd number the middle one is zero's own."""
    return graded((_BLUE_RED if signed else _CIVIDIS).split(), levels)


def graded(colours: Sequence[str], levels: int = LEVELS) -> np.ndarray:
    """Evenly from the first of these colours to the last ("00224e")."""
    anchors = np.array([list(bytes.fromhex(colour)) for colour in colours])
    places = np.linspace(0, 1, len(anchors))
    wanted = np.linspace(0, 1, levels)
    bands = [np.interp(wanted, places, anchors[:, i]) for i in range(3)]
    return np.stack(bands, axis=1).round().astype(np.uint8)
