"""The passes of a walk: a chunk of its images forward, and back once for each target."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import torch

from servelens.engine.findings import Findings
from servelens.engine.jobs import PLAIN, MapAsk, distinct
from servelens.engine.kit import Reads, Samples, Shot, UnrolledSamples, UnrolledSeries
from servelens.engine.model import Model
from servelens.engine.relevance import weights_of
from servelens.engine.tape import Gradients, Replaced, Tape, record
from servelens.engine.targets import Chosen
from servelens.engine.units import cut_off
from servelens.engine.walks import Walk, reads_of
from servelens.protocol import Problem

# One of a row's asks, and one of its targets.
Key = Tuple[int, Chosen]
# What a chunk gave for a key, or why it can give nothing.
Shots = Dict[Key, Union[Shot, Problem]]


class Shooter:
    """For one walk of one row, whose passes are counted in `found`."""

    def __init__(
        self, model: Model, found: Findings, walk: Walk, asks: Mapping[int, MapAsk]
    ) -> None:
        self._model = model
        self._module = model.explaining([ask.layer for ask in asks.values() if ask.layer])
        self._found = found
        self._walk = walk
        self._asks = asks
        self._reads = reads_of(asks)

    def one(self, image: torch.Tensor, *about: Any, **more: Any) -> Tape:
        self._found.forwards += 1
        return record(self._module, self._model.head, image[None], *about, **more)

    def in_layer(self, values: Optional[torch.Tensor]) -> Optional[Replaced]:
        """The walk's layer giving these values; None where it has none of its own."""
        layer = self._walk.layer
        if values is None or layer is None:
            return None
        return Replaced(layer.module, self._found.calls[layer], values)

    def chunk(self, samples: Samples, keys: Sequence[Key], indices: Sequence[int]) -> Shots:
        if isinstance(samples, UnrolledSamples):
            return self._propagate(samples, keys, indices)
        inputs = samples.inputs(indices)
        replaced = self.in_layer(samples.layer_values(indices))
        run = inputs[:1] if self._runs_once(samples, inputs, replaced) else inputs
        tape = record(
            self._module,
            self._model.head,
            run,
            distinct(self._asks[i].layer for i, _ in keys if self._asks[i].layer),
            gradients=bool(self._reads & PLAIN),
            of_input=bool(self._reads & Reads.INPUT_GRADIENT),
            replaced=replaced,
        )
        self._found.forwards += len(indices)
        logits = self._model.classes.logits(tape.output)
        shots: Shots = {}
        by_target = _by_target(keys)
        last = next(reversed(by_target), None)
        for chosen, of_target in by_target.items():
            gradients = self._gradients(tape, chosen, of_target, keep_graph=chosen != last)
            scores = chosen.score(logits).detach()
            for key in of_target:
                read = self._read(key, tape, gradients)
                shots[key] = (
                    read if isinstance(read, Problem) else Shot(indices, inputs, scores, **read)
                )
        return shots

    def _propagate(
        self, samples: UnrolledSamples, keys: Sequence[Key], indices: Sequence[int]
    ) -> Shots:
        """Through the model unrolled, anew for each target."""
        series, classes = self._walk.series, self._model.classes
        assert isinstance(series, UnrolledSeries)
        unrolled = self._model.unrolled.by(series.propagation)
        forwards, backwards = series.each
        inputs = samples.inputs(indices)
        shots: Shots = {}
        for target, of_target in _by_target(keys).items():
            found = samples.relevance(unrolled, indices, weights_of([target], classes))
            self._found.forwards += forwards * len(indices)
            self._found.backwards += backwards * len(indices)
            for key in of_target:
                shots[key] = Shot(indices, inputs, found.scores, relevance=found.values)
        return shots

    def _runs_once(
        self, samples: Samples, inputs: torch.Tensor, replaced: Optional[Replaced]
    ) -> bool:
        """Whether what lies before the layer does not differ from image to image."""
        if replaced is None or not samples.one_input:
            return False
        model = self._model
        return model.prefixes.run_once(self._module, model.head, inputs[:1], replaced)

    def _gradients(
        self, tape: Tape, chosen: Chosen, keys: Sequence[Key], *, keep_graph: bool
    ) -> Optional[Gradients]:
        if not self._reads & PLAIN:
            return None
        self._found.backwards += len(tape.input)
        asks = [self._asks[index] for index, _ in keys]
        return tape.gradients(
            lambda output: chosen.score(self._model.classes.logits(output)).sum(),
            distinct(a.layer for a in asks if a.method.reads_each & Reads.LAYER_GRADIENT),
            of_input=bool(self._reads & Reads.INPUT_GRADIENT),
            keep_graph=keep_graph,
        )

    def _read(
        self, key: Key, tape: Tape, gradients: Optional[Gradients]
    ) -> Union[Dict[str, torch.Tensor], Problem]:
        """What the key's method reads of each image."""
        ask = self._asks[key[0]]
        reads, layer = ask.method.reads_each, ask.layer
        found: Dict[str, Optional[torch.Tensor]] = {}
        if gradients is not None and reads & Reads.INPUT_GRADIENT:
            found["input_gradient"] = gradients.input
        if gradients is not None and layer and reads & Reads.LAYER_GRADIENT:
            found["layer_gradient"] = gradients.layers[layer]
        if layer and reads & Reads.ACTIVATION:
            found["activation"] = tape.activation(layer)
        for name, tensor in found.items():
            if tensor is None:
                return cut_off("the input" if name == "input_gradient" else str(layer))
        return {name: tensor.detach() for name, tensor in found.items() if tensor is not None}


def _by_target(keys: Sequence[Key]) -> Dict[Chosen, List[Key]]:
    targets = distinct(chosen for _, chosen in keys)
    return {target: [key for key in keys if key[1] == target] for target in targets}
