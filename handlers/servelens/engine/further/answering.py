"""Answers all that one row asks beside maps; a failure stands in the answer that it costs."""

from __future__ import annotations

from typing import Iterator

import torch

from servelens.engine.budget import Pace
from servelens.engine.faults import as_problem, contained
from servelens.engine.findings import Event, Findings
from servelens.engine.model import Model


def run_further(
    model: Model, found: Findings, image: torch.Tensor, pace: Pace, started: float
) -> Iterator[Event]:
    for asked in found.job.further:
        trouble = asked.problem
        if trouble is None:
            try:
                with contained(f"{asked.key} failed on this image") as failure:
                    yield from asked.run(model, found, image, pace, started)
                trouble = failure.problem
            except Exception as error:  # memory ran out for one image alone
                trouble = as_problem(error, "")
        if trouble is not None:
            found.further[asked.key] = asked.refused(found, trouble)
