"""Trains the demo's two models and writes their weights and a report of what they do.

    python -m servelens_archives.demo.train --out archives/demo

Both learn from the same photos, seeds and settings; only the mark differs. Each class is a yes/no
question of its own (sigmoid cross-entropy): a softmax would only compare classes, so that even
a model that decides by the mark would credit every round outline with "disc, not square".
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from servelens_archives.demo.evidence import HELD_OUT_SEED
from servelens_archives.demo.measure import Album, album, marked_discs, report
from servelens_archives.demo.models import (
    KINDS,
    TRAINED_WITH,
    Kind,
    as_input,
    new_net,
    weights_file,
)
from servelens_archives.demo.shapes import LABELS, MARKS

PHOTOS = 4000
EPOCHS = 14
BATCH = 40
LEARNING_RATE = 0.005
THREADS = 2

HELD_OUT_PHOTOS = 2000
EXPLAINED_DISCS = 200


def fit(photos: Album, seed: int, on_epoch: Callable[[], None]) -> nn.Module:
    """A network that learned these photos; the same seed gives the same one on one machine."""
    torch.manual_seed(seed)
    net = new_net()
    inputs = as_input(photos.images)
    wanted = one_hot(torch.from_numpy(photos.labels), len(LABELS)).float()
    optimiser = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE)
    batches = len(inputs) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=EPOCHS * batches
    )
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(inputs))[: batches * BATCH].split(BATCH):
            logits = net(_turned(inputs[batch]))
            loss = binary_cross_entropy_with_logits(logits, wanted[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        on_epoch()
    return net.eval()


def _turned(inputs: torch.Tensor) -> torch.Tensor:
    """The photos by a random quarter turn and mirrored or not: a shape stays what it is."""
    turns, mirrored = torch.randint(4, ()).item(), torch.rand(()) < 0.5
    turned = torch.rot90(inputs, int(turns), (2, 3))
    return turned.flip(3) if mirrored else turned


def train(kinds: list[Kind], seed: int, folder: Path) -> dict[str, Any]:
    """Train, measure and save the models of these kinds; the report that was written."""
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    nets: dict[Kind, nn.Module] = {}
    with Progress() as progress:
        for kind in kinds:
            task = progress.add_task(f"{kind}: drawing photos", total=EPOCHS)
            photos = album(seed, PHOTOS, TRAINED_WITH[kind])
            progress.update(task, description=f"{kind}: training")
            nets[kind] = fit(photos, seed, partial(progress.advance, task))
            torch.save(nets[kind].state_dict(), weights_file(kind, folder))
        training_seconds = time.monotonic() - started
        progress.add_task("measuring on held-out photos", total=None)
        held_out = {mark: album(HELD_OUT_SEED, HELD_OUT_PHOTOS, mark) for mark in MARKS}
        discs = marked_discs(HELD_OUT_SEED, EXPLAINED_DISCS)
        models = {kind: report(net, kind, held_out, discs) for kind, net in nets.items()}
    written = {
        "training": {
            "seed": seed,
            "photos": PHOTOS,
            "epochs": EPOCHS,
            "batch": BATCH,
            "threads": torch.get_num_threads(),
            "seconds": round(training_seconds, 1),
            "torch": torch.__version__,
        },
        "held_out": {"seed": HELD_OUT_SEED, "photos": HELD_OUT_PHOTOS},
        "seconds": round(time.monotonic() - started, 1),
        "models": models,
    }
    (folder / "report.json").write_text(json.dumps(written, indent=2) + "\n")
    return written


def main() -> None:
    """Read the command line, train, and print the report."""
    parser = argparse.ArgumentParser(description="Train the demo models of ServeLens.")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and report")
    parser.add_argument("--seed", type=int, default=1, help="of the photos and the training")
    parser.add_argument("--kind", choices=[*KINDS, "both"], default="both")
    arguments = parser.parse_args()
    if arguments.seed == HELD_OUT_SEED:
        parser.error(f"--seed {HELD_OUT_SEED} is the series held out for testing; use another.")
    torch.set_num_threads(THREADS)
    kinds = list(KINDS) if arguments.kind == "both" else [arguments.kind]
    Console().print_json(data=train(kinds, arguments.seed, arguments.out))


if __name__ == "__main__":
    main()
