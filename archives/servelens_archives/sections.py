"""Every key that a recipe may have, declared once: its section, its name and what it may be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from servelens.engine.folder.card import ACTIVATIONS, CROPS, INTERPOLATIONS
from servelens_archives import checks
from servelens_archives.checks import Check
from servelens_archives.labels import read_labels

DTYPES = ("float32", "float16", "bfloat16")

TOP: Mapping[str, Check] = {"name": checks.name, "title": checks.text, "version": checks.name}
MODEL: Mapping[str, Check] = {
    "architecture": checks.text,
    "file": checks.text,
    "class": checks.text,
    "kwargs": checks.keyword_arguments,
    "weights": checks.text,
    "num_classes": checks.integer(1, 1_000_000),
}
INPUT: Mapping[str, Check] = {
    "size": checks.image_size,
    "resize": checks.integer(0, 4096),
    "crop": checks.choice(*CROPS),
    "channels": checks.channel_count,
    "mean": checks.numbers,
    "std": checks.positive_numbers,
    "interpolation": checks.choice(*INTERPOLATIONS),
    "exif": checks.boolean,
}
LENS: Mapping[str, Check] = {
    "default_layer": checks.text,
    "default_layers": checks.texts,
    "stages": checks.text_table,
    "default_plan": checks.plan,
    "images": checks.text,
}
SERVE: Mapping[str, Check] = {
    "batch_size": checks.integer(1, 1024),
    # TorchServe leaves a delay of 0 in a model's configuration unread and takes its own 100.
    "max_batch_delay_ms": checks.integer(1, 60_000),
    "response_timeout_s": checks.integer(1, 86_400),
    "threads": checks.integer(0, 1024),
    "nice": checks.integer(0, 19),
    "response_bytes": checks.integer(10_000, 2**31 - 1),
    "dtype": checks.choice(*DTYPES),
}


def output_section(folder: Path) -> Mapping[str, Check]:
    """Labels may be in a file, whose path is relative to the recipe's folder."""
    return {
        "labels": lambda value: read_labels(value, folder),
        "activation": checks.choice(*ACTIVATIONS),
    }


SECTIONS = ("model", "input", "output", "lens", "serve")
