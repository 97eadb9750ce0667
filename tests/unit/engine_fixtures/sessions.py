"""Models made ready to answer, and the shortest way to ask them."""

from __future__ import annotations

from typing import Any
from unittest import mock

import torch
from torch import nn

from engine_fixtures.photos import photo
from servelens.engine import plan
from servelens.engine.budget import Limits, Pace
from servelens.engine.desk import See
from servelens.engine.folder.card import Card, InputSpec, LensSpec, ModelSource, OutputSpec
from servelens.engine.session import Session, survey_model
from servelens.protocol import Document, Problem, Request, read_request

# Plain pixels from 0 to 1, in a picture small enough for tests of many passes.
SMALL = InputSpec(size=(32, 32), resize=36, mean=(0.0,) * 3, std=(1.0,) * 3)


def seeded(kind: type[nn.Module], *, seed: int = 0, **kwargs: Any) -> nn.Module:
    """The model in eval mode with weights of its own, norms included, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = kind(**kwargs)
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats:
                nn.init.normal_(norm.running_mean, std=0.2)
                nn.init.uniform_(norm.running_var, 0.5, 2.0)
                nn.init.uniform_(norm.weight, 0.5, 1.5)
                nn.init.normal_(norm.bias, std=0.3)
    return module.eval()


def card(
    input: InputSpec = SMALL,
    output: OutputSpec = OutputSpec(),  # noqa: B008 - frozen
    lens: LensSpec = LensSpec(),  # noqa: B008 - frozen
) -> Card:
    source = ModelSource(class_name="Net")
    return Card("a-model", model=source, input=input, output=output, lens=lens)


def open_session(
    module: nn.Module,
    *,
    chunk: int = 8,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    **parts: Any,
) -> Session:
    """A session of a model that is described here and not by a recipe."""
    return session_of(module, card(**parts), chunk=chunk, limits=limits)


def session_of(
    module: nn.Module,
    card: Card,
    *,
    chunk: int = 8,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    see: See | None = None,
) -> Session:
    """A session of chunks of a fixed size: what a chunk holds must not depend on this machine."""
    capability = survey_model(module, card)
    cpu = torch.device("cpu")
    paces = mock.patch.object(
        plan, "calibrate", side_effect=lambda run, device: Pace(chunk, 3.0, 3.0)
    )
    with paces:
        return Session(module, card, capability, "sha256:0", cpu, limits, "float32", see)


def request(image: bytes | None = None, **keys: Any) -> Request:
    return read_request(keys, photo() if image is None else image)


def document(session: Session, image: bytes | None = None, **keys: Any) -> Document:
    """The answer to one request, which must not be a problem."""
    (answer,) = session.run([request(image, **keys)])
    assert isinstance(answer, Document), answer
    return answer


def problem(session: Session, image: bytes | None = None, **keys: Any) -> Problem:
    """The problem that is the answer to one request."""
    (answer,) = session.run([request(image, **keys)])
    assert isinstance(answer, Problem), answer
    return answer
