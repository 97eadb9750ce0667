"""The engine without a server, and the same model as any other library would be given it."""

from __future__ import annotations

from typing import Any

import torch
from tests.bench.photo import photo
from tests.bench.setting import Setting
from torch import nn

from servelens.engine.folder.card import Card
from servelens.engine.folder.loading import load_module
from servelens.engine.geometry import view_photo
from servelens.engine.session import Session
from servelens.protocol import Document, read_request


def open_engine(setting: Setting, recipe: str) -> Session:
    return Session.load(setting.folder(recipe), setting.device)


def open_plainly(setting: Setting, recipe: str) -> nn.Module:
    """Ready for inference, its weights out of the graph, as a careful user has it."""
    folder = setting.folder(recipe)
    return load_module(folder, Card.load(folder)).to(setting.device).requires_grad_(False)


def input_of(session: Session) -> torch.Tensor:
    """[1, C, H, W] as the model sees the benchmarks' photo, in torch's usual layout."""
    view = view_photo(photo(), session.card.input, session.limits.pixels)
    return session.model.batch([view]).contiguous()


def ask(session: Session, image: bytes | None = None, /, **keys: Any) -> Document:
    (answer,) = session.run([read_request(keys, image or photo())])
    assert isinstance(answer, Document), answer
    return answer


def hooks_left(session: Session) -> int:
    modules = {*session.model.module.modules(), *session.model.twin.module.modules()}
    return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in modules)
