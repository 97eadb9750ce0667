"""Opens a foreign file of weights and writes what is in it anew, as plain arrays.

Runs in a process of its own, because a .pt file is a pickle: a hostile one is made to run code, or
to eat all memory and time. Here it meets PyTorch's restricted unpickler, in a version whose
restriction holds, and limits of the operating system. Only named tensors leave this process.

    python -P -m servelens_archives.open_weights IN OUT.npz REPORT [CLASS_FILE]
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from servelens.engine.folder.loading import read_weights, write_weights
from servelens.protocol import shorten
from servelens_archives.child import write_report

PICKLES = (".pt", ".pth")
CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model")
LIBRARIES = (
    "torch.nn.modules.",
    "torch.nn.parallel.data_parallel",
    "torchvision.models.",
    "torchvision.ops.",
)
PLAIN_DTYPES = frozenset(
    {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool}
    | {torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8}
)
BASE_ALLOWANCE = 4 * 2**30
FORBIDDEN = re.compile(r"GLOBAL ([\w.]+)")


class Unusable(Exception):
    """The end of a sentence that begins with the file's name."""


def main(source: Path, target: Path, report: Path, class_file: Path | None) -> int:
    allowance = BASE_ALLOWANCE + 4 * source.stat().st_size
    _limit_memory(allowance)
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
    if source.suffix in PICKLES:
        state = find_state(_unpickle(source, class_file))
    else:
        state = _read_arrays(source)
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
    for key in CHECKPOINT_KEYS:
        if isinstance(content.get(key), (Mapping, nn.Module)):
            return find_state(content[key])
    return content


def _unpickle(source: Path, class_file: Path | None) -> Any:
    names = _names_asked_for(source)
    if names is None or any(name.startswith("torchvision.") for name in names):
        importlib.import_module("torchvision.models")  # A class must exist to be allowed.
    allowed: list[Any] = list(_library_classes())
    if class_file is not None:
        allowed += _own_classes(names or [], class_file)
    with torch.serialization.safe_globals(allowed):
        try:
            return torch.load(source, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise Unusable(_what_is_forbidden(str(error))) from None
        except MemoryError:
            raise
        except Exception as error:
            raise Unusable(_what_is_broken(str(error))) from None


def _library_classes() -> Iterator[type[nn.Module]]:
    found: set[type[nn.Module]] = set()
    waiting: list[type[nn.Module]] = [nn.Module]
    while waiting:
        fresh = [kind for kind in waiting.pop().__subclasses__() if kind not in found]
        found.update(fresh)
        waiting += fresh
    return (kind for kind in found if f"{kind.__module__}.".startswith(LIBRARIES))


def _names_asked_for(source: Path) -> list[str] | None:
    """The globals that the pickle in the file names, beyond PyTorch's own; None if unreadable."""
    try:
        return list(torch.serialization.get_unsafe_globals_in_checkpoint(str(source)))
    except Exception:  # The file may be anything; what it is, the unpickler will say.
        return None


def _own_classes(names: Sequence[str], class_file: Path) -> list[tuple[type[nn.Module], str]]:
    """The recipe's own classes, by the names that the file knows them under.

    The recipe's author has the build import this file anyway. A model saved by a script calls its
    class `__main__.Net`, whatever the file is called now.
    """
    spec = importlib.util.spec_from_file_location(f"servelens_class_{class_file.stem}", class_file)
    if not names or spec is None or spec.loader is None:
        return []
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    own = {name: value for name, value in vars(module).items() if _is_module_class(value)}
    return [(own[end], name) for name in names if (end := name.rpartition(".")[2]) in own]


def _is_module_class(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, nn.Module)


def _what_is_forbidden(error: str) -> str:
    named = FORBIDDEN.search(error)
    asked = f"asks for {named[1]}" if named else "asks for more than tensors"
    return (
        f"{asked}, which could run code, so it was not opened; save the weights alone with "
        "torch.save(model.state_dict(), path)"
    )


def _what_is_broken(error: str) -> str:
    if "allocate memory" in error:
        raise MemoryError
    if "TorchScript" in error:
        return (
            "is a TorchScript program, not weights; save the model that it was made from with "
            "torch.save(model.state_dict(), path)"
        )
    return "is not a file that torch.save wrote, or it is cut short"


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


def _limit_memory(allowance: int) -> None:
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
