"""Where benchmarks run: the device, private folders, the archives, and servers that hold them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from servelens.client import Server
from servelens.local import Model, TorchServe
from servelens.local.cores import THREADS, cores

ROOT = Path(__file__).resolve().parents[2]


class Missing(Exception):
    """What a benchmark needs is not here; the message says what to run."""


@dataclass(frozen=True)
class Setting:
    """`scale` shortens or lengthens every benchmark alike."""

    device: str
    scratch: Path
    scale: float = 1.0

    def pairs(self, count: int) -> int:
        return max(4, round(count * self.scale))

    def seconds(self, count: float) -> float:
        return max(4.0, count * self.scale)

    @property
    def store(self) -> Path:
        return self.scratch / "store"

    def build(self, *recipes: str) -> None:
        """Archives with seeded random weights, in the store."""
        missing = [name for name in recipes if not (self.store / f"{Path(name).stem}.mar").exists()]
        if missing:
            _build(*missing, "--weights", "none", "--out", str(self.store))

    def build_for_explanations(self, recipe: str) -> str:
        """The same weights in an archive for a queue of its own, whose name this is."""
        _build(recipe, "--variant", "explain", "--weights", "none", "--out", str(self.store))
        return f"{recipe}-explain.mar"

    def folder(self, recipe: str) -> Path:
        """The archive as a worker sees it: unpacked."""
        self.build(recipe)
        return _unpacked(self.store / f"{recipe}.mar", self.scratch / recipe)

    def trained(self, recipe: str) -> Path:
        """The same with the weights that the recipe names."""
        folder = self.scratch / "trained"
        _build(recipe, "--out", str(folder))
        return _unpacked(folder / f"{recipe}.mar", folder / recipe)

    def stock_archive(self) -> str:
        """The same weights behind TorchServe's own image_classifier."""
        target = self.store / "stock.mar"
        if not target.exists():
            build_stock_archive(self.folder("resnet18"), target, self.scratch)
        return target.name

    @contextlib.contextmanager
    def serving(
        self, *models: Model, settings: Mapping[str, str] | None = None, threads: int | None = None
    ) -> Iterator[tuple[TorchServe, Server]]:
        """With so many threads a worker, if not with one for each core."""
        environ = {THREADS: str(threads or cores())}
        config = ROOT / "config.properties"
        with TorchServe(
            self.store, models, config=config, settings=settings, environ=environ
        ) as running:
            yield running, running.client


def _build(*words: str) -> None:
    command = [sys.executable, "-m", "servelens_archives.build", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _unpacked(archive: Path, folder: Path) -> Path:
    if not folder.exists():
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
    return folder


def build_stock_archive(folder: Path, target: Path, scratch: Path) -> None:
    """Packed as TorchServe's documentation says: a state dict, a class and image_classifier."""
    from servelens.engine.folder.loading import WEIGHTS_FILE, read_weights

    private = scratch / "stock"
    private.mkdir()
    torch.save(read_weights(folder / WEIGHTS_FILE), private / "resnet18.pth")
    (private / "model.py").write_text(
        "from torchvision.models.resnet import BasicBlock, ResNet\n\n\n"
        "class Net(ResNet):\n"
        "    def __init__(self):\n"
        "        super().__init__(BasicBlock, [2, 2, 2, 2])\n"
    )
    command = [
        *(sys.executable, "-m", "model_archiver.model_packaging"),
        *("--model-name", target.stem, "--version", "1.0", "--handler", "image_classifier"),
        *("--model-file", str(private / "model.py")),
        *("--serialized-file", str(private / "resnet18.pth")),
        *("--export-path", str(target.parent), "--force"),
    ]
    environment = {**os.environ, "TMPDIR": str(private)}
    subprocess.run(command, check=True, env=environment, capture_output=True)
