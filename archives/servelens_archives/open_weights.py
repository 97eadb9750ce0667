"""Opens a foreign file of weights and writes what is in it anew, as plain arrays.

Runs in a process of its own, because a .pt file is a pickle: a hostile one is made to run code, or
to eat all memory and time. Here it meets PyTorch's restricted unpickler, in a version whose
restriction holds, and limits of the operating system. Only named tensors leave this process.

    python -P -m servelens_archives.open_weights IN OUT.npz REPORT [CLASS_FILE]
"""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from servelens.engine.folder.loading import read_weights, write_weights
from servelens.protocol import shorten
from servelens_archives.child import write_report
from servelens_archives.unpickling import PICKLES, Unusable, unpickle

CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model")
PLAIN_DTYPES = frozenset(
    {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool}
    | {torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8}
)
BASE_ALLOWANCE = 4 * 2**30


def main(source: Path, target: Path, report: Path, class_file: Path | None) -> int:
    allowance = BASE_ALLOWANCE + 4 * source.stat().st_size
    limit_memory(allowance)
    try:
        write_weights(target, read_state(source, class_file, allowance))
    except Unusable as unusable:
        write_report(report, problem=str(unusable))
        return 1
    except MemoryError:
        write_report(report, problem=f"needs more than {allowance / 2**30:.0f} GiB to be opened")
        return 1
    write_report(report)
    return 0


def read_state(
    source: Path, class_file: Path | None = None, allowance: int = BASE_ALLOWANCE
) -> Mapping[str, torch.Tensor]:
    """The named tensors in the file, all of them plain; raises Unusable."""
    return state_in(read_content(source, class_file), allowance)


def read_content(source: Path, class_file: Path | None = None) -> Any:
    """All that is in the file: beside weights, whatever their author kept there."""
    return unpickle(source, class_file) if source.suffix in PICKLES else _read_arrays(source)


def state_in(content: Any, allowance: int = BASE_ALLOWANCE) -> Mapping[str, torch.Tensor]:
    state = find_state(content)
    _check_tensors(state, allowance)
    return state


def find_state(content: Any) -> Mapping[str, torch.Tensor]:
    """The state dict in what was saved: a state dict, a model, or a checkpoint with one of them."""
    if isinstance(content, nn.Module):
        # Of the class, for a hostile file may give the object an attribute of that name.
        return nn.Module.state_dict(content)
    if not isinstance(content, Mapping):
        raise Unusable(
            f"holds a {type(content).__name__}, not weights; save them with "
            "torch.save(model.state_dict(), path)"
        )
    usual = [key for key in CHECKPOINT_KEYS if isinstance(content.get(key), (Mapping, nn.Module))]
    if usual:
        return find_state(content[usual[0]])
    holders = [key for key, value in content.items() if _is_state(value)]
    if len(holders) > 1:
        raise Unusable(
            f"holds weights under {', '.join(shorten(key) for key in holders)}; save those that "
            f"are meant alone, with torch.save(content[{shorten(holders[0])}], path)"
        )
    return find_state(content[holders[0]]) if holders else content


def _is_state(value: Any) -> bool:
    """A model or named tensors; an optimizer's state beside them in a checkpoint is neither."""
    if isinstance(value, nn.Module):
        return True
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(tensor, torch.Tensor) for tensor in value.values())
    )


def _read_arrays(source: Path) -> Mapping[str, torch.Tensor]:
    broken = "is not a file of plain numeric arrays that numpy.savez wrote, or it is cut short"
    if not zipfile.is_zipfile(source):
        raise Unusable(broken)
    try:
        return read_weights(source)
    except MemoryError:
        raise
    except Exception:
        raise Unusable(broken) from None


def _check_tensors(state: Mapping[str, Any], allowance: int) -> None:
    if not state:
        raise Unusable("holds no weights")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise Unusable(
                f"holds a {type(value).__name__} under {shorten(name)} where weights were "
                f"expected; weights may be under {', '.join(CHECKPOINT_KEYS)} or on their own"
            )
        plain = value.layout is torch.strided and value.device.type == "cpu"
        if not plain or value.dtype not in PLAIN_DTYPES:
            raise Unusable(
                f"holds {shorten(name)} as {value.dtype} on {value.device.type} with layout "
                f"{value.layout}, which a plain array cannot hold"
            )
    # A tensor may repeat one stored number a million million times.
    size = sum(value.numel() * value.element_size() for value in state.values())
    if size > allowance:
        raise Unusable(f"would unfold to {size / 2**30:.0f} GiB of weights")


def limit_memory(allowance: int) -> None:
    """As much more than the libraries take already, where the system keeps such limits."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + allowance
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    source, target, report, *more = (Path(argument) for argument in sys.argv[1:])
    sys.exit(main(source, target, report, more[0] if more else None))
