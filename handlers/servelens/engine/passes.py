"""What one chunk of jobs gets out of one forward pass and the backward passes that it needs."""

from __future__ import annotations

import math
import time
from typing import Dict, Iterator, List, Mapping, Optional, Sequence

import torch

from servelens.engine.faults import as_problem
from servelens.engine.findings import Event, Findings, Finished, Progress
from servelens.engine.jobs import PLAIN, WAYS_BACK, Job, distinct
from servelens.engine.kit import Reads
from servelens.engine.layers import LayerRef
from servelens.engine.model import Model
from servelens.engine.rectifiers import Rule
from servelens.engine.tape import Gradients, Tape, record
from servelens.engine.units import Ways, run_units

NOT_FINITE = "the model's answer for this image is not a finite number"
RULES: Mapping[Reads, Optional[Rule]] = {
    PLAIN: None,
    Reads.GUIDED_GRADIENT: Rule.GUIDED,
    Reads.DECONVOLVED_GRADIENT: Rule.DECONVOLVED,
}


def predict(model: Model, jobs: Sequence[Job], batch: torch.Tensor) -> Iterator[Event]:
    """Predictions alone, by the fast twin."""
    started = time.perf_counter()
    output = model.predictor(batch)
    yield from _finish(_read_predictions(model, jobs, output), started)


def explore(model: Model, jobs: Sequence[Job], batch: torch.Tensor) -> Iterator[Event]:
    """Predictions, activations and maps; each further target of a row is one more backward.

    Activations that are answered are the module's own to the last bit, on every page of them."""
    started = time.perf_counter()
    layers = distinct(layer for job in jobs for layer in job.layers())
    exact = any(job.activations for job in jobs)
    tape = record(
        model.module if exact else model.explaining(layers),
        model.head,
        batch,
        layers,
        gradients=any(job.needs_gradients for job in jobs),
        of_input=any(job.needs_input_gradient for job in jobs),
        ruled=any(job.reads(Reads.RULED_GRADIENT) for job in jobs),
        exact=exact,
    )
    findings = _read_predictions(model, jobs, tape.output.detach())
    for row, found in enumerate(findings):
        _keep_activations(found, tape, row)
        found.targets = found.job.targets(found.ranking)
    yield Progress(1, "forward pass")
    turns = max(len(found.targets) for found in findings)
    for turn in range(turns):
        yield from _explain_turn(model, tape, findings, turn, last=turn == turns - 1)
    yield from _finish(findings, started)


def _read_predictions(model: Model, jobs: Sequence[Job], output: torch.Tensor) -> List[Findings]:
    logits = model.classes.logits(output.float())
    ranked = model.classes.ranked(logits, depth=max(job.depth for job in jobs))
    return [Findings(job, row, own) for job, row, own in zip(jobs, ranked, logits)]


def _keep_activations(found: Findings, tape: Tape, row: int) -> None:
    for layer in found.job.recorded:
        values = tape.activation(layer)
        if values is not None:
            found.activations[layer] = values[row].detach()
            found.calls[layer] = tape.call_of(layer)


def _explain_turn(
    model: Model, tape: Tape, findings: Sequence[Findings], turn: int, *, last: bool
) -> Iterator[Event]:
    """One target of each row that has so many, by as many ways back as its maps read."""
    rows = {row: found for row, found in enumerate(findings) if turn < len(found.targets)}
    takers = {way: [r for r, f in rows.items() if _takes(f, turn, way)] for way in WAYS_BACK}
    taken = [way for way in WAYS_BACK if takers[way]]
    ways: Ways = {}
    for way in taken:
        keep_graph = not (last and way == taken[-1])
        ways[way] = _way_back(model, tape, findings, turn, way, takers[way], keep_graph)
        for row in takers[way]:
            findings[row].backwards += 1
    if turn == 0:
        _keep_relevance(ways, rows)
    yield from run_units(tape, ways, rows, turn)
    yield Progress(len(taken), "backward pass")


def _takes(found: Findings, turn: int, way: Reads) -> bool:
    """Whether this row's target is explained by a map, or an order of channels, that reads it."""
    if way == PLAIN and turn == 0 and found.job.by_relevance:
        return True
    chosen = found.targets[turn]
    asks = found.job.maps
    return any(ask.reads & way and chosen in ask.choose(found.ranking) for ask in asks)


def _way_back(
    model: Model,
    tape: Tape,
    findings: Sequence[Findings],
    turn: int,
    way: Reads,
    takers: Sequence[int],
    keep_graph: bool,
) -> Gradients:
    def score(output: torch.Tensor) -> torch.Tensor:
        logits = model.classes.logits(output)
        scores = [findings[row].targets[turn].score(logits[row]) for row in takers]
        return torch.stack(scores).sum()

    jobs = [findings[row].job for row in takers]
    layers = [layer for job in jobs for layer in _gradient_layers(job)] if way == PLAIN else []
    return tape.gradients(
        score,
        distinct(layers),
        of_input=any(job.reads(way & ~Reads.LAYER_GRADIENT) for job in jobs),
        keep_graph=keep_graph,
        rule=RULES[way],
    )


def _gradient_layers(job: Job) -> Sequence[LayerRef]:
    asked = [ask.layer for ask in job.maps if ask.layer and ask.reads & Reads.LAYER_GRADIENT]
    return [*asked, *job.recorded] if job.by_relevance else asked


def _keep_relevance(ways: Ways, rows: Mapping[int, Findings]) -> None:
    for row, found in rows.items():
        if found.job.by_relevance:
            gradients: Dict[LayerRef, Optional[torch.Tensor]] = dict(ways[PLAIN].layers)
            found.relevance = {
                layer: torch.zeros(()) if gradient is None else gradient[row]
                for layer, gradient in gradients.items()
                if layer in found.job.recorded
            }


def _finish(findings: Sequence[Findings], started: float) -> Iterator[Finished]:
    compute_ms = (time.perf_counter() - started) * 1000
    for found in findings:
        found.compute_ms = compute_ms
        finite = all(math.isfinite(p.logit) and math.isfinite(p.probability) for p in found.ranked)
        yield Finished(found.job, found if finite else as_problem(ArithmeticError(), NOT_FINITE))
