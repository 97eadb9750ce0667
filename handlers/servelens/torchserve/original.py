"""The handler that an archive had before it was instrumented, and the model that it keeps.

It is found and made by TorchServe's own code, as it was before. What its model is given for a photo
is seen by asking for a prediction and stopping where the model is called: whatever the handler does
up to there, in methods of any name, is done, and nothing of what comes after.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from ts.context import RequestProcessor
from ts.model_loader import TsModelLoader

from servelens.protocol import problem

Handle = Callable[[Any, Any], Any]

# A row under both of the names that handlers read.
IMAGE_FIELDS = ("data", "body")
ASKED_PLAINLY = {"explain": "False"}


class NoLens(Exception):
    """Why the handler's model cannot be looked into; its predictions are none the worse."""


class Original:
    """The handler as TorchServe has it: a class with `initialize` and `handle`, or a function."""

    def __init__(self, name: str) -> None:
        """Raises whatever TorchServe would meet; `name` is as in a manifest."""
        module, entry, self.initialize = load_entry(name)
        self.handle: Handle = entry
        self._module = module

    @property
    def model(self) -> nn.Module:
        """What the handler keeps, as it is called; raises NoLens where there is none, or several
        of which none is called `model`."""
        holder = getattr(self.handle, "__self__", None)
        kept = vars(holder) if holder is not None else _kept_by(self._module)
        found = {name: value for name, value in kept.items() if isinstance(value, nn.Module)}
        if isinstance(found.get("model"), nn.Module):
            return found["model"]
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            names = ", ".join(sorted(found))
            raise NoLens(f"the handler keeps several models, none of them as 'model': {names}")
        raise NoLens("the handler keeps no PyTorch module; it has to keep its model as self.model")

    def own_copy(self) -> nn.Module:
        """The model in eval mode and float32 on the CPU, to hook and to rearrange at will."""
        with torch.no_grad():  # or what is copied of TorchScript would be no leaf of a graph
            return copy.deepcopy(bare(self.model)).cpu().float().eval()

    def given_to_model(self, image: bytes, context: Any) -> np.ndarray:
        """float32 [channels, height, width] that the handler calls its model with for an image;
        raises what the handler raises, and ProblemError where it calls its model otherwise."""
        row = dict.fromkeys(IMAGE_FIELDS, image)
        with _caught(self.model) as calls:
            self.handle([row], context_for(context, {0: ASKED_PLAINLY}))
        batch = _one_tensor(calls)
        prepared: np.ndarray = batch[0].float().cpu().numpy()
        return prepared


def _one_tensor(calls: Sequence[Tuple[Any, ...]]) -> torch.Tensor:
    """What can be explained: floats of [1, channels, height, width], and nothing beside them."""
    if not calls:
        raise problem(
            "bad_image",
            "the archive's own handler answers this photo without calling its model as "
            "self.model(...)",
            where="image",
        )
    (arguments, *_) = calls
    if len(arguments) == 1 and _is_one_image(arguments[0]):
        batch: torch.Tensor = arguments[0].detach()
        return batch
    given = ", ".join(_kind(argument) for argument in arguments) or "nothing by position"
    raise problem(
        "bad_image",
        f"for this photo the archive's own handler calls its model with {given}, not with one "
        "tensor of floats [1, channels, height, width]",
        where="image",
    )


def _is_one_image(value: Any) -> bool:
    is_tensor = isinstance(value, torch.Tensor) and value.is_floating_point()
    return is_tensor and value.dim() == 4 and len(value) == 1


def _kind(argument: Any) -> str:
    if isinstance(argument, torch.Tensor):
        return f"{argument.dtype} {list(argument.shape)}"
    return type(argument).__name__


def load_entry(name: str) -> Tuple[ModuleType, Handle, Callable[[Any], Any]]:
    """As `TsModelLoader.load` finds it: a file in the archive, else one of TorchServe's own."""
    loader = TsModelLoader()
    function = None
    try:
        module, function = loader._load_handler_file(name)
    except ImportError:
        module = loader._load_default_handler(name)
    function = function or "handle"
    if hasattr(module, function):
        entry, initialize = loader._get_function_entry_point(module, function)
    else:
        entry, initialize = loader._get_class_entry_point(module)
    return module, entry, initialize


def context_for(context: Any, headers: Mapping[int, Mapping[str, str]]) -> Any:
    """The context for rows of our own, with these headers; what is set on it reaches no caller."""
    own = copy.copy(context)
    own.request_processor = [RequestProcessor(dict(row)) for row in headers.values()]
    own.request_ids = {row: f"servelens-{row}" for row in headers}
    return own


def context_of(context: Any, rows: Sequence[int]) -> Any:
    """The context as if only these rows had come; what is set on it is theirs."""
    own = copy.copy(context)
    processors = context.request_processor
    own.request_processor = [processors[row] for row in rows]
    own.request_ids = {place: context.request_ids[row] for place, row in enumerate(rows)}
    return own


def bare(model: nn.Module) -> nn.Module:
    """What `torch.compile` wraps can be hooked, the wrapper cannot."""
    inner = getattr(model, "_orig_mod", model)
    return inner if isinstance(inner, nn.Module) else model


def _kept_by(module: ModuleType) -> Dict[str, Any]:
    """A function keeps its model in its module, or in an object there."""
    kept: Dict[str, Any] = {}
    for name, value in vars(module).items():
        if isinstance(value, nn.Module):
            kept[name] = value
        elif not isinstance(value, (type, ModuleType)) and hasattr(value, "__dict__"):
            inner = vars(value).get("model")
            if isinstance(inner, nn.Module):
                kept[f"{name}.model"] = inner
    return kept


class _Stop(BaseException):
    """No Exception, which a handler may catch."""


@contextmanager
def _caught(model: nn.Module) -> Iterator[List[Tuple[Any, ...]]]:
    """What the model is called with inside, the first time; the call itself never happens. A hook
    of its own a TorchScript model refuses, so that all modules are watched for a moment."""
    calls: List[Tuple[Any, ...]] = []
    watched = (model, bare(model))

    def hook(module: nn.Module, arguments: Tuple[Any, ...]) -> Optional[Any]:
        if any(module is one for one in watched):
            calls.append(arguments)
            raise _Stop
        return None

    handle = register_module_forward_pre_hook(hook)
    try:
        yield calls
    except _Stop:
        pass
    finally:
        handle.remove()
