"""What one chunk of jobs gets out of one forward pass and the backward passes that it needs."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch

from servelens.engine.faults import as_problem
from servelens.engine.findings import Event, Findings, Finished, FoundMap, Partial, Progress
from servelens.engine.jobs import Job, distinct
from servelens.engine.layers import LayerRef
from servelens.engine.methods import METHODS, Reading, Reads
from servelens.engine.model import Model
from servelens.engine.tape import Gradients, Tape, record
from servelens.protocol import Problem

NOT_FINITE = "the model's answer for this image is not a finite number"


def predict(model: Model, jobs: Sequence[Job]) -> Iterator[Event]:
    """Predictions alone, by the fast twin."""
    started = time.perf_counter()
    output = model.predictor(model.batch([job.view for job in jobs]))
    yield from _finish(_read_predictions(model, jobs, output), started)


def explore(model: Model, jobs: Sequence[Job]) -> Iterator[Event]:
    """Predictions, activations and maps; each further target of a row is one more backward."""
    started = time.perf_counter()
    layers = distinct(layer for job in jobs for layer in job.layers())
    tape = record(
        model.module,
        model.head,
        model.batch([job.view for job in jobs]),
        layers,
        gradients=any(job.needs_gradients for job in jobs),
        of_input=any(job.needs_input_gradient for job in jobs),
    )
    findings = _read_predictions(model, jobs, tape.output.detach())
    for row, found in enumerate(findings):
        given = {layer: tape.activation(layer) for layer in found.job.recorded}
        found.activations = {
            layer: values[row].detach() for layer, values in given.items() if values is not None
        }
        found.targets = found.job.targets(found.ranking)
    rounds = max(len(found.targets) for found in findings)
    yield Progress(1, 1 + rounds, "forward pass")
    for turn in range(rounds):
        yield from _explain_turn(model, tape, findings, turn, last=turn == rounds - 1)
        yield Progress(2 + turn, 1 + rounds, f"backward pass {turn + 1} of {rounds}")
    yield from _finish(findings, started)


def _read_predictions(model: Model, jobs: Sequence[Job], output: torch.Tensor) -> List[Findings]:
    logits = model.classes.logits(output.float())
    ranked = model.classes.ranked(logits, depth=max(job.depth for job in jobs))
    return [Findings(job, row) for job, row in zip(jobs, ranked)]


def _explain_turn(
    model: Model, tape: Tape, findings: Sequence[Findings], turn: int, *, last: bool
) -> Iterator[Partial]:
    """One backward pass: each row that has a target for this turn gets what it asked of it."""
    rows = {row: found for row, found in enumerate(findings) if turn < len(found.targets)}

    def score(output: torch.Tensor) -> torch.Tensor:
        logits = model.classes.logits(output)
        scores = [found.targets[turn].score(logits[row]) for row, found in rows.items()]
        return torch.stack(scores).sum()

    gradients = tape.gradients(
        score,
        distinct(layer for found in rows.values() for layer in _gradient_layers(found.job)),
        of_input=any(found.job.needs_input_gradient for found in rows.values()),
        keep_graph=not last,
    )
    for row, found in rows.items():
        if turn == 0 and found.job.by_relevance:
            found.relevance = {
                layer: torch.zeros(()) if gradient is None else gradient[row]
                for layer, gradient in gradients.layers.items()
                if layer in found.job.recorded
            }
    for unit, members in _units(rows, turn).items():
        yield from _run_method(unit, members, findings, tape, gradients, turn)


@dataclass(frozen=True)
class _Unit:
    """Rows that ask the same method of the same layer in the same turn run it as one batch."""

    method: str
    params: Tuple[Tuple[str, Any], ...]
    layer: Optional[LayerRef]


def _units(rows: Mapping[int, Findings], turn: int) -> Dict[_Unit, List[Tuple[int, int]]]:
    """For each unit the rows in it, and which of their asks it answers."""
    units: Dict[_Unit, List[Tuple[int, int]]] = {}
    for row, found in rows.items():
        for index, ask in enumerate(found.job.maps):
            if ask.runs and found.targets[turn] in ask.choose(found.ranking):
                unit = _Unit(ask.method.name, tuple(sorted(ask.params.items())), ask.layer)
                units.setdefault(unit, []).append((row, index))
    return units


def _run_method(
    unit: _Unit,
    members: Sequence[Tuple[int, int]],
    findings: Sequence[Findings],
    tape: Tape,
    gradients: Gradients,
    turn: int,
) -> Iterator[Partial]:
    trouble = _trouble(unit, tape, gradients)
    if trouble is not None:
        for row, ask in members:
            findings[row].troubles[ask, findings[row].targets[turn]] = trouble
        return
    reading = _reading(unit, [row for row, _ in members], tape, gradients)
    found_map = METHODS[unit.method].run(reading, **dict(unit.params))
    for (row, ask), values in zip(members, found_map.values.detach().float().cpu().numpy()):
        found, chosen = findings[row], findings[row].targets[turn]
        if np.isfinite(values).all():
            found.maps[ask, chosen] = FoundMap(values, found_map.signed)
            yield Partial(found, ask, chosen)
        else:
            reason = f"{unit.method} is not finite on this image"
            found.troubles[ask, chosen] = Problem("unsupported", reason)


def _trouble(unit: _Unit, tape: Tape, gradients: Gradients) -> Optional[Problem]:
    """What the method reads and this pass does not have. A map of zeros in its place would say
    that nothing matters, when nothing can be known."""
    reads = METHODS[unit.method].reads
    if unit.layer is not None and tape.activation(unit.layer) is None:
        return not_given(unit.layer)
    cut_from_layer = unit.layer is not None and gradients.layers.get(unit.layer) is None
    if (cut_from_layer and reads & Reads.LAYER_GRADIENT) or (
        gradients.input is None and reads & Reads.INPUT_GRADIENT
    ):
        return Problem(
            "unsupported",
            f"no gradient of the class score reaches {unit.layer or 'the input'}",
            hint="it has no part in the score, or the model computes without gradients in between",
        )
    return None


def not_given(layer: LayerRef) -> Problem:
    return Problem("unsupported", f"{layer} gave no tensor with a row for each image")


def _reading(unit: _Unit, rows: List[int], tape: Tape, gradients: Gradients) -> Reading:
    reads = METHODS[unit.method].reads

    def of_rows(tensor: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
        return None if tensor is None else tensor.detach()[rows]

    layer = unit.layer
    return Reading(
        input=tape.input.detach()[rows],
        input_gradient=of_rows(gradients.input),
        activation=of_rows(tape.activation(layer))
        if layer is not None and reads & Reads.ACTIVATION
        else None,
        layer_gradient=of_rows(gradients.layers[layer])
        if layer is not None and reads & Reads.LAYER_GRADIENT
        else None,
    )


def _gradient_layers(job: Job) -> Sequence[LayerRef]:
    asked = [
        ask.layer
        for ask in job.maps
        if ask.runs and ask.layer is not None and ask.method.reads & Reads.LAYER_GRADIENT
    ]
    return [*asked, *job.recorded] if job.by_relevance else asked


def _finish(findings: Sequence[Findings], started: float) -> Iterator[Finished]:
    compute_ms = (time.perf_counter() - started) * 1000
    for found in findings:
        found.compute_ms = compute_ms
        finite = all(math.isfinite(p.logit) and math.isfinite(p.probability) for p in found.ranked)
        yield Finished(found.job, found if finite else as_problem(ArithmeticError(), NOT_FINITE))
