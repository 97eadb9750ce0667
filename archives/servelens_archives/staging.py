"""What lies in an archive beside its weights: our code as plain files, and three descriptions.

lens_handler.py, servelens/   what runs in the worker, copied as it stands here
<the model's own file>        where the model is not torchvision's
model.json                    the card: all the worker knows of the model
model-config.yaml             TorchServe's keys, and a section of our own
provenance.json               what it was made from, with which versions
"""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import yaml

import servelens
from servelens_archives.errors import BuildError
from servelens_archives.recipe import Recipe, ServeSpec
from servelens_archives.weights import Origin

HANDLER_FILE = "lens_handler.py"
CONFIG_FILE = "model-config.yaml"
PROVENANCE_FILE = "provenance.json"
PACKAGE = Path(servelens.__file__).resolve().parent
VENDORED = ("__init__.py", "codec.py", "engine", "palettes.py", "protocol", "torchserve")


def stage_code(folder: Path, recipe: Recipe) -> None:
    """Our own code, and the model's own file."""
    stage_package(folder, HANDLER_FILE)
    if recipe.model_file is not None:
        _copy(recipe.model_file, folder / recipe.model_file.name)


def stage_package(folder: Path, entry: str) -> None:
    """The handler that TorchServe is to start with, and the vendored package."""
    _copy(PACKAGE.parent / entry, folder / entry)
    (folder / PACKAGE.name).mkdir()
    for name in VENDORED:
        _copy(PACKAGE / name, folder / PACKAGE.name / name)


def stage_config(folder: Path, serve: ServeSpec) -> None:
    (folder / CONFIG_FILE).write_text(model_config(serve), encoding="utf-8")


def model_config(serve: ServeSpec) -> str:
    """TorchServe takes batch size and delay from here where a registering call names none.

    Its response timeout it takes from here even against the call, and worker counts too: so the
    timeout is one that the handler also knows, and the counts are left to the operator.
    """
    content = {
        "batchSize": serve.batch_size,
        "maxBatchDelay": serve.max_batch_delay_ms,
        "responseTimeout": serve.response_timeout_s,
        "servelens": {
            "response_bytes": serve.response_bytes,
            "response_timeout_s": serve.response_timeout_s,
            "threads": serve.threads,
            "nice": serve.nice,
            "dtype": serve.dtype,
        },
    }
    return yaml.safe_dump(content, sort_keys=False)


def stage_provenance(folder: Path, origin: Origin, variant: str | None) -> None:
    """No date and no path: the same ingredients make the same archive, byte for byte."""
    content = {
        "weights": asdict(origin),
        "variant": variant,
        "versions": {
            "python": platform.python_version(),
            "servelens": servelens.__version__,
            **{name: version(name) for name in ("torch", "torchvision", "torch-model-archiver")},
        },
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True)
    (folder / PROVENANCE_FILE).write_text(text + "\n", encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(source, target, ignore=ignore)
    elif source.is_file():
        shutil.copyfile(source, target)
    else:
        raise BuildError(f"{source} is missing, and no archive works without it")
