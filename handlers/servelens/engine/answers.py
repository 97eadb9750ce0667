"""From findings to a document, within the bytes that an answer may have.

Maps of attributions are never cut. Activations are: an entry carries the channels that still fit
and says which ones to ask for next, so that nothing is lost silently.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np
import torch

from servelens.engine.features.channels import channel_means, select_channels
from servelens.engine.features.statistics import statistics
from servelens.engine.findings import Findings, FoundMap
from servelens.engine.jobs import ActivationAsk, MapAsk
from servelens.engine.kit import Segments
from servelens.engine.paging import Allowance
from servelens.engine.pictures import with_pictures
from servelens.engine.targets import Chosen, Classes
from servelens.engine.thrift import passes_of_job
from servelens.engine.units import not_given
from servelens.engine.weighing import weigh, with_kernels
from servelens.protocol import (
    VERSION,
    Activation,
    ActivationsRequest,
    Attribution,
    Channel,
    ChannelEffect,
    ChannelRanking,
    Cost,
    Document,
    ModelRef,
    NextPage,
    Passes,
    Problem,
)


def write_document(
    found: Findings, model: ModelRef, classes: Classes, response_bytes: int
) -> Document:
    """Raises response_too_large where even the smallest page does not fit."""
    job, request = found.job, found.job.request
    weighed = weigh(job)
    document = Document(
        lens=VERSION,
        id=request.id,
        model=model,
        input=job.view.ref,
        predictions=tuple(found.ranked[: job.top_k]),
        cost=Cost(
            forwards=found.forwards,
            backwards=found.backwards,
            ms={"preprocess": round(job.preprocess_ms, 3), "compute": round(found.compute_ms, 3)},
            whole=None if request.part is None else Passes(*passes_of_job(job.whole)),
        ),
        activations=(),
        attributions=tuple(
            _attribution(found, index, ask, chosen, classes)
            for index, ask in enumerate(job.maps)
            if not ask.ranks
            for chosen in ask.choose(found.ranking)
        ),
        problems=job.problems or None,
        weights=tuple(one.entry for one in weighed) or None,
        channel_ranking=_rankings(found, classes) or None,
        **found.further,
    )
    if job.is_bare:
        return document
    allowance = Allowance(response_bytes, request)
    allowance.take_skeleton(document)
    backdrop = job.view.backdrop
    if backdrop is not None:
        allowance.take_note()
    document = dataclasses.replace(
        document,
        activations=tuple(_activations(found, allowance)),
        weights=with_kernels(weighed, allowance) or None,
    )
    return document if backdrop is None else with_pictures(document, backdrop, allowance)


def map_position(found: Findings, ask: int, chosen: Chosen) -> int:
    """Where in the document's attributions the map of this ask and target stands."""
    before = sum(len(earlier.choose(found.ranking)) for earlier in found.job.maps[:ask])
    return before + found.job.maps[ask].choose(found.ranking).index(chosen)


def _attribution(
    found: Findings, index: int, ask: MapAsk, chosen: Chosen, classes: Classes
) -> Attribution:
    found_map = found.maps.get((index, chosen))
    return Attribution(
        method=ask.method.name,
        layer=None if ask.layer is None else str(ask.layer),
        target=classes.ref(chosen),
        signed=ask.method.signed if found_map is None else found_map.signed,
        map=None if found_map is None else found_map.values,
        params=_told(ask.params),
        coarsened=ask.coarsened,
        weight=None if found_map is None else found_map.weight,
        convergence_delta=None if found_map is None else found_map.delta,
        trust=found.cards.get((index, chosen)),
        problem=ask.problem or found.troubles.get((index, chosen)),
    )


def _told(params: Mapping[str, Any]) -> Dict[str, Any]:
    """A drawing is not sent back; how many segments the model sees of it is."""
    return {
        name: value.count if isinstance(value, Segments) else value
        for name, value in params.items()
    }


def _rankings(found: Findings, classes: Classes) -> Tuple[ChannelRanking, ...]:
    return tuple(
        ChannelRanking(
            layer=str(ask.layer),
            target=classes.ref(chosen),
            mode=ask.ranks,
            channels=_most_effective_first(found.maps.get((index, chosen))),
            problem=ask.problem or found.troubles.get((index, chosen)),
        )
        for index, ask in enumerate(found.job.maps)
        if ask.ranks
        for chosen in ask.choose(found.ranking)
    )


def _most_effective_first(effects: Optional[FoundMap]) -> Tuple[ChannelEffect, ...]:
    """What speaks against the class, and leaves it stronger when it is gone, comes last."""
    if effects is None:
        return ()
    order = np.argsort(-effects.values, kind="stable").tolist()
    return tuple(ChannelEffect(index, float(effects.values[index])) for index in order)


def _activations(found: Findings, allowance: Allowance) -> List[Activation]:
    asked = found.job.request.activations
    if asked is None:
        return []
    wanted = {ask: _wanted(found, ask, asked) for ask in found.job.activations}
    allowance.take_entries(list(wanted.values()))
    entries = [_activation(found, ask, asked, wanted[ask], allowance) for ask in wanted]
    paged = [entry for entry in entries if entry.next is not None]
    if paged and not any(entry.channels for entry in entries):
        first = next(ask.layer for ask, channels in wanted.items() if channels)
        allowance.refuse_empty_page(found.activations[first])
    return entries


def _wanted(found: Findings, ask: ActivationAsk, asked: ActivationsRequest) -> Tuple[int, ...]:
    values = found.activations.get(ask.layer)
    if values is None:
        return ()
    relevance = found.relevance.get(ask.layer)
    return select_channels(values, relevance, asked.channels, asked.sort_by, found.job.request.seed)


def _activation(
    found: Findings,
    ask: ActivationAsk,
    asked: ActivationsRequest,
    wanted: Tuple[int, ...],
    allowance: Allowance,
) -> Activation:
    values = found.activations.get(ask.layer)
    if values is None:
        return Activation(layer=str(ask.layer), problem=ask.problem or not_given(ask.layer))
    if not bool(torch.isfinite(values).all()):
        reason = f"{ask.layer} gave numbers that are not finite on this image"
        return Activation(layer=str(ask.layer), problem=Problem("unsupported", reason))
    fitting = allowance.take_channels(values, wanted, maps=asked.maps)
    carried = values[list(fitting)].float()
    means = channel_means(carried).tolist()
    return Activation(
        layer=str(ask.layer),
        shape=tuple(values.shape),
        statistics=statistics(values) if asked.statistics else None,
        channels=tuple(Channel(index, mean) for index, mean in zip(fitting, means)),
        maps=carried.cpu().numpy() if asked.maps else None,
        next=NextPage(wanted[len(fitting) :]) if len(fitting) < len(wanted) else None,
    )
