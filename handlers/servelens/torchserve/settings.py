"""What model-config.yaml says to this worker, in its section `servelens:`.

An unknown or wrong key stops the worker from loading: better than serving with other limits.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping

from servelens.engine.budget import Limits
from servelens.protocol import ProblemError
from servelens.protocol.shapes import Choice, Integer, Number, Record, Shape

DTYPES = ("float32", "bfloat16", "float16")
LIMITS: Dict[str, Shape] = {
    limit.name: Integer(1) if isinstance(limit.default, int) else Number(0)
    for limit in dataclasses.fields(Limits)
}
SECTION = Record({**LIMITS, "dtype": Choice(DTYPES), "threads": Integer(0), "nice": Integer(0, 19)})


@dataclass(frozen=True)
class Settings:
    """`threads` 0 leaves torch's own number."""

    limits: Limits = field(default_factory=Limits)
    dtype: str = "float32"
    threads: int = 0
    nice: int = 0


def read_settings(config: Any) -> Settings:
    """Of the whole file: our section, and TorchServe's own timeout where ours names none."""
    config = config if isinstance(config, Mapping) else {}
    section = config.get("servelens")
    section = {} if section is None else section
    if isinstance(section, dict) and config.get("responseTimeout") is not None:
        section = {"response_timeout_s": config["responseTimeout"], **section}
    try:
        read = SECTION.read(section, "servelens")
    except ProblemError as error:
        hint = f" ({error.problem.hint})" if error.problem.hint else ""
        raise RuntimeError(f"model-config.yaml: {error.problem.message}{hint}") from None
    limits = {name: read.pop(name) for name in LIMITS if name in read}
    return Settings(limits=Limits(**limits), **read)
