"""A model folder, opened: it says what can be asked, and answers a batch of requests.

This is the engine's whole face. It knows devices and requests, and no server.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union

import torch
from torch import nn

from servelens.engine.answers import map_position, write_document
from servelens.engine.budget import Limits
from servelens.engine.capability import describe, with_worker_facts
from servelens.engine.desk import Desk, See
from servelens.engine.faults import as_problem
from servelens.engine.findings import Finished, Partial, Progress
from servelens.engine.folder.card import CAPABILITY_FILE, Card
from servelens.engine.folder.digest import folder_digest
from servelens.engine.folder.loading import ModelLoadError, load_module
from servelens.engine.head import Head
from servelens.engine.jobs import Job
from servelens.engine.kit import Propagation
from servelens.engine.layers import Catalogue
from servelens.engine.model import example_input, make_model, weights_digest
from servelens.engine.plan import Plan
from servelens.engine.survey import survey
from servelens.engine.targets import Classes
from servelens.engine.thrift import passes_of_job
from servelens.engine.trust import most_passes
from servelens.engine.unrolling import why_not
from servelens.protocol import (
    Document,
    ModelRef,
    Problem,
    ProblemError,
    Request,
    read_explain,
    to_wire,
)

Answer = Union[Document, Problem]


class Session:
    """One model that answers. Make it with `load` of a folder, or with `of` of a module."""

    def __init__(
        self,
        module: nn.Module,
        card: Card,
        capability: Mapping[str, Any],
        digest: str,
        device: torch.device,
        limits: Limits,
        dtype: str,
        see: Optional[See] = None,
    ) -> None:
        """`see` goes before what the card says of how photos become the model's input."""
        head = Head(capability["output"]["head"], capability["output"]["classes"])
        self.card = card
        self.limits = limits
        self._capability = with_worker_facts(capability, digest, limits, device)
        self._ref = ModelRef(card.name, card.version, digest)
        self.model = make_model(module, head, card, device, dtype)
        self._plan = Plan(self.model, [layer["name"] for layer in capability["layers"]])
        self._desk = Desk(
            card.input,
            module,
            self.model.classes,
            Catalogue(capability["layers"]),
            self._capability,
            read_explain(capability["default_plan"]) or (),
            limits,
            see,
        )

    @classmethod
    def load(
        cls,
        folder: Path,
        device: str = "cpu",
        limits: Limits = Limits(),  # noqa: B008 - frozen, so it may be shared
        dtype: str = "float32",
    ) -> Session:
        card = Card.load(folder)
        module = load_module(folder, card)
        capability = read_capability(folder) or survey_model(module, card)
        return cls(
            module, card, capability, folder_digest(folder), torch.device(device), limits, dtype
        )

    @classmethod
    def of(
        cls,
        module: nn.Module,
        card: Card,
        device: str = "cpu",
        limits: Limits = Limits(),  # noqa: B008 - frozen, so it may be shared
    ) -> Session:
        """A module without a folder, in eval mode on the CPU; it is taken over."""
        capability = survey_model(module, card)
        digest = weights_digest(module)
        return cls(module, card, capability, digest, torch.device(device), limits, "float32")

    def describe(self) -> Dict[str, Any]:
        """The capability document."""
        return copy.deepcopy(self._capability)

    @property
    def memory_retries(self) -> int:
        return self._plan.memory_retries

    def run(self, requests: Sequence[Request]) -> List[Answer]:
        """One answer for each request, in order; a row that fails is its own Problem."""
        answers: Dict[int, Answer] = {}
        jobs = []
        for row, request in enumerate(requests):
            try:
                jobs.append(self._prepare(row, request))
            except Exception as error:  # of this row alone; the others have done nothing wrong
                answers[row] = as_problem(error, "the request could not be prepared")
        for event in self._plan.run(jobs):
            if isinstance(event, Finished):
                answers[event.job.row] = self._answer(event)
        return [answers[row] for row in range(len(requests))]

    def open_stream(self, request: Request) -> Iterator[Mapping[str, Any]]:
        """The frames of one request; all that can be checked is checked before the first."""
        return self._frames(self._prepare(0, request))

    def _prepare(self, row: int, request: Request) -> Job:
        return self._plan.afford(self._desk.prepare(row, request))

    def _answer(self, event: Finished) -> Answer:
        if isinstance(event.outcome, Problem):
            return event.outcome
        try:
            return write_document(
                event.outcome, self._ref, self.model.classes, self.limits.response_bytes
            )
        except Exception as error:
            return as_problem(error, "the answer could not be written")

    def _frames(self, job: Job) -> Iterator[Mapping[str, Any]]:
        done, total = 0, sum(passes_of_job(job)) + most_passes(job)
        for event in self._plan.run([job]):
            if isinstance(event, Progress):
                done = min(done + event.passes, total)  # what memory ran out for is run again
                yield {"frame": "progress", "done": done, "total": total, "text": event.text}
            elif isinstance(event, Partial) and event.is_map:
                position = map_position(event.findings, event.ask, event.chosen)
                found = event.findings.maps[event.ask, event.chosen]
                path = f"attributions/{position}/map"
                yield {"frame": "partial", "path": path, "tensor": found.values}
            elif isinstance(event, Finished):
                yield _last_frame(self._answer(event))


def survey_model(module: nn.Module, card: Card) -> Dict[str, Any]:
    """The capability document of a model that has none yet, from one dry run."""
    # Two rows tell a layer that gives one row for each image from one that folds them together.
    found = survey(module, example_input(card, rows=2))
    if found.problems:
        raise ModelLoadError("; ".join(found.problems))
    classes = Classes(found.head, card.output)
    if len(classes.labels) != classes.count:
        raise ModelLoadError(
            f"the labels name {len(classes.labels)} classes, the model answers {classes.count}"
        )
    parameters = sum(parameter.numel() for parameter in module.parameters())
    example = example_input(card)
    unrolls = {kind: why_not(kind, module, found.head, example) for kind in Propagation}
    capability = describe(card, found, classes, parameters, unrolls)
    _check_defaults(capability)
    return capability


def _check_defaults(capability: Mapping[str, Any]) -> None:
    """The recipe's own layers must be ones that the model has."""
    catalogue = Catalogue(capability["layers"])
    try:
        catalogue.resolve_all(capability["default_layers"], "default_layers")
        if capability["default_layer"] is not None:
            catalogue.resolve(capability["default_layer"], "default_layer")
    except ProblemError as error:
        said = error.problem
        raise ModelLoadError(f"lens.{said.where}: {said.words}") from None


def read_capability(folder: Path) -> Optional[Dict[str, Any]]:
    """What the preflight found, where there was one."""
    path = folder / CAPABILITY_FILE
    if not path.is_file():
        return None
    content: Dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _last_frame(answer: Answer) -> Mapping[str, Any]:
    if isinstance(answer, Problem):
        return {"frame": "problem", "problem": answer.to_wire()}
    return {"frame": "document", "document": to_wire(answer)}
