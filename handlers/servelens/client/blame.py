"""Find a worker's own error in TorchServe's model log.

The management API says no more than "Failed to start workers for model shapes". Why stands in
``model_log.log``, among the lines of all workers: each line bears the name of its worker, such as
``W-9000-shapes_1.0-stdout``, and the traceback is spread over as many lines as it has.
"""

from __future__ import annotations

import re
from pathlib import Path

_LINE = re.compile(
    r"^\S+ \[\w+ *\] W-(?P<id>\d+)-(?P<model>.+)_[^_]*-std\w+ MODEL_LOG - (?P<said>.*)$"
)
_STARTED = re.compile(r"\[PID\]\d+$")
_DIED = "Backend worker process died."
_TRACEBACK = "Traceback (most recent call last):"
_LAST_LINES = 20


def worker_error(model_log: Path, model: str) -> str:
    """What the model's last worker said before it ended: its traceback, or else its last lines."""
    try:
        text = model_log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return traceback_in(_lines_of_last_worker(text, model))


def traceback_in(said: list[str]) -> str:
    """The first error that the worker reported.

    TorchServe turns a RuntimeError into a second one that says only "500 - Unknown exception"; what
    comes before "Backend worker process died." is then the real one.
    """
    died = said.index(_DIED) if _DIED in said else len(said)
    for part in (said[:died], said[died + 1 :]):
        if _TRACEBACK in part:
            return "\n".join(part[part.index(_TRACEBACK) :])
    return "\n".join(said[-_LAST_LINES:])


def _lines_of_last_worker(text: str, model: str) -> list[str]:
    lines = [match for match in map(_LINE.match, text.splitlines()) if match]
    ours = [line for line in lines if line["model"] == model]
    said = [line["said"] for line in ours if line["id"] == ours[-1]["id"]]
    starts = [number for number, what in enumerate(said) if _STARTED.match(what)]
    return said[starts[-1] + 1 :] if starts else said
