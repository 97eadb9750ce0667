"""How much of what was asked for still fits into an answer's bytes: channels, then pictures."""

from __future__ import annotations

import json
from typing import Any, List, Sequence, Tuple

import numpy as np
import torch

from servelens.codec import packed_size, wire_dtype
from servelens.engine.budget import check_size
from servelens.protocol import Request, to_wire

# What JSON makes of one entry's keys and statistics or problem, of one channel that is carried, and
# of one that is left for later.
ENTRY_BYTES = 1024
CHANNEL_BYTES = 80
NEXT_BYTES = 8


class Allowance:
    """The bytes that are left of an answer; what is put into it is taken off."""

    def __init__(self, response_bytes: int, request: Request) -> None:
        self.limit = response_bytes
        self.left = response_bytes
        self._encoding = request.format
        self._dtype = request.dtype

    def take_skeleton(self, document: Any) -> None:
        """The document as it stands; what comes next are activations."""
        tensors: List[np.ndarray] = []
        text = json.dumps(to_wire(document), default=tensors.append, ensure_ascii=False)
        # A lone surrogate, as a broken label may hold, is no UTF-8.
        size = len(text.encode("utf-8", "backslashreplace"))
        self._take(size + sum(self._packed(array) for array in tensors))

    def take_entries(self, wanted: Sequence[Tuple[int, ...]]) -> None:
        """Of each entry what it takes without any channel: it then names all that were wanted."""
        tensor = packed_size((0,), 4, self._encoding)
        self._take(sum(ENTRY_BYTES + tensor + NEXT_BYTES * len(channels) for channels in wanted))

    def take_note(self) -> None:
        """Of a problem that may have to be told beside all else."""
        self._take(ENTRY_BYTES)

    def take_picture(self, png: bytes) -> bool:
        """Whether it fits; nothing is taken where it does not."""
        size = packed_size((len(png),), 1, self._encoding)
        if size > self.left:
            return False
        self._take(size)
        return True

    def take_channels(
        self, values: torch.Tensor, channels: Tuple[int, ...], *, maps: bool
    ) -> Tuple[int, ...]:
        """Of one layer's [C, ...] values the first channels that fit, in the order given."""
        # Which channels fit depends on whether float16 is good enough for them, and that on them.
        for itemsize in (2, 4):
            each = CHANNEL_BYTES
            if maps:
                each += self._payload(values, itemsize)
            fitting = channels[: self.left // each]
            if self._itemsize(values, fitting) <= itemsize:
                break
        self.left -= each * len(fitting)
        return fitting

    def refuse_empty_page(self, values: torch.Tensor) -> None:
        """Called where no channel fitted at all: a page without any would be asked for forever."""
        self._take(max(CHANNEL_BYTES + self._payload(values, 4), self.left + 1))

    def _take(self, size: int) -> None:
        check_size(self.limit - self.left + size, self.limit)
        self.left -= size

    def _packed(self, array: np.ndarray) -> int:
        itemsize = wire_dtype(array, self._dtype).itemsize
        return packed_size(array.shape, itemsize, self._encoding)

    def _payload(self, values: torch.Tensor, itemsize: int) -> int:
        """Of one channel's numbers, without the description that a tensor has once."""
        empty = packed_size((0,), itemsize, self._encoding)
        return packed_size(tuple(values.shape[1:]), itemsize, self._encoding) - empty

    def _itemsize(self, values: torch.Tensor, channels: Tuple[int, ...]) -> int:
        return wire_dtype(values[list(channels)].float().cpu().numpy(), self._dtype).itemsize
