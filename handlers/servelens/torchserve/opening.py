"""A session on the model of a handler that was there before, seeing photos as that handler does."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np
import torch
from torch import nn
from ts.utils.util import load_label_mapping

from servelens.engine.folder.card import Card, InputSpec, ModelSource, OutputSpec
from servelens.engine.folder.digest import folder_digest
from servelens.engine.folder.loading import ModelLoadError
from servelens.engine.measuring import Prepare
from servelens.engine.model import example_input
from servelens.engine.prepared import Prepared
from servelens.engine.session import Session, read_capability, survey_model
from servelens.protocol import ProblemError
from servelens.torchserve.original import NoLens, Original
from servelens.torchserve.settings import Settings

logger = logging.getLogger(__name__)

# Of the instrumented archive's manifest.
SECTION = "servelens"
LABELS_FILE = "index_to_name.json"
SCALING_UNKNOWN = (
    "How the archive's own handler scales pixels could not be measured: as baselines black and "
    "white are the values 0 and 1 of the model's input, and no answer says where in the photo the "
    "model looks, so that maps lie over its input alone."
)


def open_lens(
    original: Original, context: Any, manifest: Mapping[str, Any], settings: Settings
) -> Session:
    """`manifest` is that of the instrumented archive. Raises NoLens with a sentence."""

    def prepare(image: bytes) -> np.ndarray:
        return original.given_to_model(image, context)

    folder = Path(context.system_properties["model_dir"])
    try:
        device, module = _device_of(original.model), original.own_copy()
        see = _seeing(prepare, settings)
        card = _card(module, manifest, see.spec, folder)
        capability = read_capability(folder) or _surveyed(module, card, see)
    except ModelLoadError as error:
        raise NoLens(str(error)) from error
    digest = folder_digest(folder)
    return Session(module, card, capability, digest, device, settings.limits, settings.dtype, see)


def _seeing(prepare: Prepare, settings: Settings) -> Prepared:
    try:
        return Prepared(prepare, settings.limits.pixels)
    except ProblemError as error:
        raise NoLens(error.problem.message) from error
    except Exception as error:
        kind = type(error).__name__
        raise NoLens(f"its own handler cannot prepare a plain photo ({kind})") from error


def _card(module: nn.Module, manifest: Mapping[str, Any], spec: InputSpec, folder: Path) -> Card:
    told, asked = manifest["model"], manifest[SECTION]
    card = Card(
        name=told["modelName"],
        version=str(told.get("modelVersion", "1.0")),
        model=ModelSource(class_name=getattr(module, "original_name", type(module).__name__)),
        input=spec,
    )
    labels = _labels(folder / LABELS_FILE, _classes_of(module, card))
    return replace(card, output=OutputSpec(labels, asked["activation"]))


def _surveyed(module: nn.Module, card: Card, see: Prepared) -> Dict[str, Any]:
    capability = survey_model(module, card)
    if see.levels is None:
        capability["warnings"].append(SCALING_UNKNOWN)
    return capability


def _classes_of(module: nn.Module, card: Card) -> int:
    """As many as the model answers; a model of one logit tells two classes apart."""
    with torch.no_grad():
        output = module(example_input(card))
    columns = output.shape[-1] if isinstance(output, torch.Tensor) and output.dim() == 2 else 0
    return 2 if columns == 1 else columns


def _labels(file: Path, classes: int) -> Optional[Tuple[str, ...]]:
    """As TorchServe's own handlers read them; a class without a name is called by its index."""
    if not file.is_file():
        return None
    try:
        names = load_label_mapping(str(file))
    except Exception as error:  # a handler need not read the file, nor mind what is in it
        logger.warning("%s is not read: %s", file.name, error)
        return None
    return tuple(names.get(str(index), str(index)) for index in range(classes))


def _device_of(module: nn.Module) -> torch.device:
    return next((weights.device for weights in module.parameters()), torch.device("cpu"))
