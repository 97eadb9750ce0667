"""Maps that take images of their own: a row's series are run in chunks, and tallied.

Every target is one more backward pass of each image, and methods that read only scores need none.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Dict, Iterator, Mapping, Optional, Sequence

import torch

from servelens.engine.budget import Pace, check_time
from servelens.engine.chunks import in_chunks
from servelens.engine.faults import as_problem, contained
from servelens.engine.findings import Event, Findings, Partial, Progress
from servelens.engine.jobs import MapAsk, distinct
from servelens.engine.kit import Ends, Samples, Shot, Source, Tally
from servelens.engine.model import Model
from servelens.engine.shooting import Key, Shooter, Shots
from servelens.engine.units import not_given
from servelens.engine.walks import Walk, lead_of, propagations_of, share_of, walks_of
from servelens.protocol import Problem

# A stream shows a map that is not finished yet this often.
PARTIAL_S = 0.5


def run_series(model: Model, found: Findings, image: torch.Tensor, pace: Pace) -> Iterator[Event]:
    """All that one row asks of series; `image` is its input [C, H, W]. The time limit is of all
    walks together, for the worker has no more than that; unrolling the model, which takes seconds
    once in the worker's life, is in nobody's budget."""
    walks = walks_of(found.job)
    model.unrolled.make(propagations_of(walks))
    started = time.perf_counter()
    for walk, asks in walks.items():
        walker = _Walker(model, found, image, walk, asks)
        try:
            with contained(f"the series of {walker.methods} failed on this image") as failure:
                yield from walker.run(pace, started)
            trouble = failure.problem
        except Exception as error:  # memory ran out for one image alone
            trouble = as_problem(error, "")
        if trouble is not None:
            walker.give_up(trouble)


class _Walker:
    """One walk of one row, from its source to its maps."""

    def __init__(
        self,
        model: Model,
        found: Findings,
        image: torch.Tensor,
        walk: Walk,
        asks: Mapping[int, MapAsk],
    ) -> None:
        self._model = model
        self._found = found
        self._walk = walk
        self._asks = asks
        self._shooter = Shooter(model, found, walk, asks)
        self.methods = ", ".join(distinct(ask.method.name for ask in asks.values()))
        self._source = Source(
            input=image,
            spec=model.card.input,
            seed=found.job.request.seed,
            activation=None if walk.layer is None else found.activations.get(walk.layer),
        )
        self._open = [(i, c) for i, ask in asks.items() for c in ask.choose(found.ranking)]
        self._tallies: Dict[Key, Tally] = {}

    def run(self, pace: Pace, started: float) -> Iterator[Event]:
        self._drop_layers_not_given()
        if not self._open:
            return
        samples = self._walk.series.lay_out(self._source, dict(self._walk.params))
        told = self._passes_made()
        self._begin(samples)
        shown = time.perf_counter()
        share = share_of(self._walk.count(self._source.input.shape), self._found.job.request.part)
        if lead := lead_of(share, self._asks):
            for key, shot in self._shoot(samples, lead).items():
                if isinstance(shot, Shot) and self._asks[key[0]].method.looks_back:
                    self._tallies[key].follow(shot)
        chunks = in_chunks(share, pace, self._model.device, partial(self._shoot, samples))
        for _, shots in chunks:
            self._add(shots)
            made = self._passes_made()
            yield Progress(made - told, self.methods)
            told = made
            now = time.perf_counter()
            check_time((now - started) * 1000, self._found.job.time_limit_ms)
            if self._found.job.shows_partial_maps and now - shown > PARTIAL_S:
                shown = now
                yield from self._show()
            if not self._open:
                break
        yield from self._show()

    def give_up(self, trouble: Problem) -> None:
        for key in list(self._open):
            self._drop(key, trouble)

    def _drop(self, key: Key, trouble: Problem) -> None:
        self._open.remove(key)
        self._tallies.pop(key, None)
        self._found.maps.pop(key, None)
        self._found.troubles[key] = trouble

    def _drop_layers_not_given(self) -> None:
        """A layer that gave nothing in the shared pass gives nothing here either."""
        for index, chosen in list(self._open):
            layer = self._asks[index].layer
            if layer is not None and layer not in self._found.activations:
                self._drop((index, chosen), not_given(layer))

    def _begin(self, samples: Samples) -> None:
        empty = self._run_baseline(samples)
        for index, chosen in self._open:
            ask = self._asks[index]
            ends = Ends(
                whole=float(chosen.score(self._found.logits)),
                empty=None if empty is None else float(chosen.score(empty)),
            )
            self._tallies[index, chosen] = ask.method.run(self._source, samples, ends, ask.params)

    def _run_baseline(self, samples: Samples) -> Optional[torch.Tensor]:
        """The logits of where the series starts from, if it has a baseline."""
        if samples.baseline is None:
            return None
        layer = self._walk.layer
        tape = self._shooter.one(samples.baseline, () if layer is None else (layer,))
        start = None if layer is None else tape.activation(layer)
        if start is not None:
            samples.start = start[0]
            tape = self._shooter.one(self._source.input, replaced=self._shooter.in_layer(start))
        return self._model.classes.logits(tape.output)[0]

    def _shoot(self, samples: Samples, indices: Sequence[int]) -> Shots:
        return self._shooter.chunk(samples, tuple(self._open), indices)

    def _add(self, shots: Shots) -> None:
        """What one method cannot make of it is no trouble of the others'."""
        for key, shot in shots.items():
            if isinstance(shot, Problem):
                self._drop(key, shot)
                continue
            with contained(f"{self._name(key)} failed on this image") as failure:
                self._tallies[key].add(shot)
            if failure.problem is not None:
                self._drop(key, failure.problem)

    def _show(self) -> Iterator[Partial]:
        """Each map as it stands."""
        for key in list(self._open):
            with contained(f"{self._name(key)} failed on this image") as failure:
                tally, in_parts = self._tallies[key], self._found.job.request.part is not None
                self._found.keep(*key, tally.share() if in_parts else tally.map())
            if failure.problem is not None:
                self._drop(key, failure.problem)
            elif key in self._found.maps:
                yield Partial(self._found, *key)

    def _passes_made(self) -> int:
        return self._found.forwards + self._found.backwards

    def _name(self, key: Key) -> str:
        return self._asks[key[0]].method.name
