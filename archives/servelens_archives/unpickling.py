"""Unpickles what torch.save wrote without running anything that it names.

PyTorch's restricted unpickler refuses every name that it was not allowed. Allowed are modules of
the libraries and of the recipe's own file, which are needed; and what stands beside the weights in
many a checkpoint (arguments, dates, paths, scores) is let by as an object that holds nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from servelens_archives.errors import WeightsError

PICKLES = (".pt", ".pth", ".ckpt", ".tar")
OLDEST_SAFE_TORCH = (2, 6)
LIBRARIES = (
    "torch.nn.modules.",
    "torch.nn.parallel.data_parallel",
    "torchvision.models.",
    "torchvision.ops.",
)
BYSTANDERS = re.compile(
    r"argparse\.Namespace|types\.SimpleNamespace|builtins\.(list|dict|int|float|str)"
    r"|(datetime|pathlib|numpy)\.[\w.]+"
)
FORBIDDEN = re.compile(r"GLOBAL ([\w.]+)")


class Unusable(Exception):
    """The end of a sentence that begins with the file's name."""


class Bystander:
    """Stands for an object that no weights depend on; takes anything, keeps nothing."""

    def __new__(cls, *arguments: Any, **named: Any) -> Bystander:
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def plain_dict(factory: Any = None) -> dict[Any, Any]:
    """In place of a defaultdict, which the unpickler would not fill."""
    return {}


def refuse_unsafe_torch(version: str) -> None:
    found = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    if found < OLDEST_SAFE_TORCH:
        raise WeightsError(
            f"this is torch {version}, whose weights_only can be made to run code "
            "(CVE-2025-32434); build with torch 2.6 or newer, or give the weights as .npz"
        )


def unpickle(source: Path, class_file: Path | None) -> Any:
    """What was saved; raises Unusable, and MemoryError where the limit was met."""
    names = _names_asked_for(source)
    if names is None or any(name.startswith("torchvision.") for name in names):
        importlib.import_module("torchvision.models")  # A class must exist to be allowed.
    allowed: list[Any] = list(_library_classes())
    allowed += [(Bystander, name) for name in names or [] if BYSTANDERS.fullmatch(name)]
    allowed.append((plain_dict, "collections.defaultdict"))
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
