"""The command behind scripts/smoke: does a running server do what an archive promises?

It needs to know nothing beforehand: what may be asked of a model is in its capability document.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from servelens.client.errors import ClientError
from servelens.client.keys import KEY_FILE_VARIABLE, KeyFile, keys_from_environment
from servelens.client.server import Server

Check = Callable[[], str]
MANAGEMENT_VARIABLE = "SERVELENS_MANAGEMENT_URL"


class NoModel(ClientError):
    """Nothing was found that predicts, so that nothing can be said of what was promised."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    keys = keys_from_environment() if arguments.keys is None else KeyFile(arguments.keys)
    failures = 0
    with Server(arguments.url, arguments.management, keys) as server:
        for name, check in checks(server, arguments.model):
            failures += not _passes(name, check)
    print(f"{failures} of the checks failed" if failures else "all checks passed")
    return 1 if failures else 0


def checks(server: Server, named: Sequence[str]) -> Iterator[tuple[str, Check]]:
    """Each check says what it saw, or raises. Where no model is named, all listed are checked."""
    yield "health", server.health
    listed: list[str] = []
    if server.management is not None:
        yield "models", partial(_list, server, listed)
    models = named or listed
    if not models:
        yield "predict and explain", partial(_miss, server)
    for model in models:
        yield f"{model}: describe", partial(_describe, server, model)
        yield f"{model}: predict", partial(_predict, server, model)
        yield f"{model}: explain", partial(_explain, server, model)


def noise_photo(server: Server, model: str) -> bytes:
    """A PNG of the model's own input size; what is on it does not matter here."""
    height, width = server.capability(model)["input"]["size"]
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def _list(server: Server, listed: list[str]) -> str:
    listed += server.models()
    return ", ".join(listed) or "none is registered"


def _miss(server: Server) -> str:
    what_to_do = (
        "name one with --model, or give the management address with --management to check all"
        if server.management is None
        else "register one, or name with --model one that is there"
    )
    raise NoModel(f"no model was checked; {what_to_do}")


def _describe(server: Server, model: str) -> str:
    capability = server.capability(model)
    methods = ", ".join(m["name"] for m in capability["methods"] if m["supported"])
    layers = len(capability["layers"])
    return f"{capability['model']['architecture']}, {layers} layers; methods: {methods}"


def _predict(server: Server, model: str) -> str:
    answer = server.classify(model, noise_photo(server, model))
    label, probability = next(iter(answer.items()))
    return f"{label} {probability:.3f} and {len(answer) - 1} more"


def _explain(server: Server, model: str) -> str:
    result = server.explain(model, noise_photo(server, model))
    told = [
        f"{entry.title}: {entry.why_nothing if entry.map is None else entry.map.shape}"
        for entry in result.attributions
    ]
    cost = result.cost
    return f"{'; '.join(told)}; {cost.forwards} forward, {cost.backwards} backward"


def _passes(name: str, check: Check) -> bool:
    try:
        said = check()
    except ClientError as error:
        print(f"FAIL  {name}: {error}")
        return False
    print(f"ok    {name}: {said}")
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/smoke", description="Ask a running server for all that an archive promises."
    )
    parser.add_argument("url", metavar="URL", help="inference address: http://127.0.0.1:8080")
    parser.add_argument(
        "--management",
        metavar="URL",
        default=os.environ.get(MANAGEMENT_VARIABLE) or None,
        help=f"management address, to list the models; else what {MANAGEMENT_VARIABLE} says",
    )
    parser.add_argument(
        "--keys",
        type=Path,
        metavar="FILE",
        help=f"the server's key_file.json; else what {KEY_FILE_VARIABLE} names",
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="check this model alone; repeatable, and needed where there is no management address",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
