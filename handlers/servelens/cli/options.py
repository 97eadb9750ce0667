"""Options that several commands have, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

INFERENCE_URL = "http://127.0.0.1:8080"
MANAGEMENT_URL = "http://127.0.0.1:8081"
PATIENCE_S = 120.0

Url = Annotated[
    str, typer.Option("--url", envvar="SERVELENS_URL", help="The server's inference address.")
]
Management = Annotated[
    str,
    typer.Option(
        "--management", envvar="SERVELENS_MANAGEMENT_URL", help="The server's management address."
    ),
]
Keys = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        envvar="SERVELENS_KEY_FILE",
        help="The server's key_file.json; or set SERVELENS_INFERENCE_KEY and "
        "SERVELENS_MANAGEMENT_KEY to its tokens.",
    ),
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.1, metavar="S", help="Seconds to wait for an answer.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON for programs, a value a line.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        envvar="SERVELENS_MODEL",
        help="The name it is registered under; needless where there is only one.",
    ),
]
Version = Annotated[
    str | None, typer.Option("--version", help="Of the model; else its default one.")
]
Images = Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Photos to ask about.")]
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", "-l", help="A layer's name, or a pattern: 'layer3.*'. Repeatable."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Save there, a folder for each photo: arrays, pictures and a manifest.",
    ),
]
AtOnce = Annotated[
    int, typer.Option("--at-once", min=1, max=32, help="How many photos are asked at a time.")
]
