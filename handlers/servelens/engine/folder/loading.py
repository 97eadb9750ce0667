"""From a model folder to a module in eval mode, opening nothing that could run foreign code.

A folder holds `model.json` (the card), `weights.npz` (plain arrays, written by the builder) and,
for a model of one's own, the Python file that defines it.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Dict, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from servelens.engine.folder.card import WEIGHTS_FILE, Card

MOST_NAMED = 5


class ModelLoadError(Exception):
    """The model cannot be built from its folder; the message says what to mend."""


def load_module(folder: Path, card: Card) -> nn.Module:
    """The module as the worker serves it: on the CPU, in eval mode, with its weights."""
    module = build_module(folder, card)
    load_weights(module, read_weights(folder / WEIGHTS_FILE))
    return module.eval()


def build_module(folder: Path, card: Card) -> nn.Module:
    """The bare module that the card describes, with whatever weights its constructor gives it."""
    source = card.model
    kwargs = dict(source.kwargs)
    if source.num_classes is not None:
        kwargs.setdefault("num_classes", source.num_classes)
    if source.architecture is not None:
        module = _call(_torchvision_builder(source.architecture), kwargs, source.architecture)
        return _taking(card.input.channels, module)
    if source.file is None or source.class_name is None:
        raise ModelLoadError("the card names neither an architecture nor a file with a class")
    module_file = _import_file(folder / source.file)
    builder = getattr(module_file, source.class_name, None)
    if builder is None:
        raise ModelLoadError(f"{source.file} defines no {source.class_name!r}")
    return _call(builder, _accepted(builder, kwargs), source.class_name)


def read_weights(path: Path) -> Dict[str, torch.Tensor]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def write_weights(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Half precisions widen to float32: NumPy has no bfloat16, and a fresh module is float32."""
    narrow = (torch.float16, torch.bfloat16)
    arrays: Dict[str, Any] = {
        name: (value.float() if value.dtype in narrow else value).detach().cpu().numpy()
        for name, value in state.items()
    }
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def load_weights(module: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    expected = module.state_dict()
    missing = [name for name in expected if name not in state]
    foreign = [name for name in state if name not in expected]
    reshaped = [
        f"{name} {tuple(state[name].shape)} where the model has {tuple(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    ]
    if missing or foreign or reshaped:
        wrong = {"missing": missing, "not in the model": foreign, "of another shape": reshaped}
        told = "; ".join(count_and_name(what, names) for what, names in wrong.items() if names)
        raise ModelLoadError(f"the weights do not fit the model: {told}")
    # Into the module's own mapping, which remembers the version of each part's format.
    expected.update(state)
    module.load_state_dict(expected)


def count_and_name(what: str, names: Sequence[str]) -> str:
    """The end of a sentence on weights, of which a model has hundreds."""
    more = ", …" if len(names) > MOST_NAMED else ""
    return f"{len(names)} {what}: {', '.join(names[:MOST_NAMED])}{more}"


def _torchvision_builder(name: str) -> Callable[..., nn.Module]:
    from torchvision import models

    if name not in models.list_models(module=models):
        known = ", ".join(models.list_models(module=models))
        raise ModelLoadError(f"torchvision has no model {name!r}; it has {known}")
    builder: Callable[..., nn.Module] = models.get_model_builder(name)

    def build(**kwargs: Any) -> nn.Module:
        # These two would spend half a minute on initial weights that are overwritten at once, and
        # have heads that only training runs.
        if name in ("googlenet", "inception_v3"):
            kwargs = {"init_weights": False, "aux_logits": False, **kwargs}
        return builder(weights=None, **kwargs)

    return build


def _taking(channels: int, module: nn.Module) -> nn.Module:
    """torchvision builds for three channels; another number takes another first convolution."""
    first = next(part for part in module.modules() if isinstance(part, nn.Conv2d))
    if channels != first.in_channels:
        first.in_channels = channels
        shape = (first.out_channels, channels, *first.kernel_size)
        first.weight = nn.Parameter(first.weight.new_empty(shape))
        first.reset_parameters()
    return module


def _accepted(builder: Callable[..., nn.Module], kwargs: Dict[str, Any]) -> Dict[str, Any]:
    """One's own class need not take `num_classes`: it may have the number written in."""
    parameters = inspect.signature(builder).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return kwargs
    return {k: v for k, v in kwargs.items() if k != "num_classes" or k in parameters}


def _call(builder: Callable[..., nn.Module], kwargs: Dict[str, Any], name: str) -> nn.Module:
    try:
        module = builder(**kwargs)
    except TypeError as error:
        raise ModelLoadError(f"{name} cannot be built with {kwargs}: {error}") from error
    if not isinstance(module, nn.Module):
        raise ModelLoadError(f"{name} built a {type(module).__name__}, not an nn.Module")
    return module


def _import_file(path: Path) -> ModuleType:
    """Imported under a name of its own, so that no module of the server's can shadow it."""
    name = f"servelens_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ModelLoadError(f"{path.name} is not a Python file in the model's folder")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
