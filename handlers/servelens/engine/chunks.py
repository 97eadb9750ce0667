"""Work on many images in chunks of calibrated size, smaller ones where memory runs out."""

from __future__ import annotations

from typing import Callable, Iterator, List, Sequence, Tuple, TypeVar

import torch

from servelens.engine.budget import Pace, is_out_of_memory, release_memory

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_chunks(
    items: Sequence[Item],
    pace: Pace,
    device: torch.device,
    run: Callable[[List[Item]], Result],
) -> Iterator[Tuple[List[Item], Result]]:
    """Each chunk with what came of it. One that memory runs out for is tried again as smaller
    ones; where it has a single item the error goes on."""
    left = list(items)
    while left:
        chunk = left[: pace.chunk]
        ran_out = False
        try:
            result = run(chunk)
        except Exception as error:
            # Only its verdict is kept: the traceback holds the tensors that memory ran out for.
            ran_out = is_out_of_memory(error)
            if not ran_out or len(chunk) == 1:
                raise
        if ran_out:
            pace.retry_with(len(chunk) // 2)
            release_memory(device)
            continue
        left = left[len(chunk) :]
        yield chunk, result
