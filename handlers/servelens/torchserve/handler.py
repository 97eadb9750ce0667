"""What TorchServe calls: one model for a worker's life, and a batch of rows at a time."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, List, Optional, Sequence

import torch

from servelens.engine.budget import is_out_of_memory
from servelens.engine.session import Session
from servelens.torchserve.batch import Batch
from servelens.torchserve.enveloped import LISTING, as_values, envelope_in_use, rows_of
from servelens.torchserve.faults import internal, mark_following_lines
from servelens.torchserve.outbox import Outbox
from servelens.torchserve.settings import Settings, read_settings

logger = logging.getLogger(__name__)


class CannotStart(Exception):
    """Why there will be no worker. It must be no RuntimeError: after one of those TorchServe says
    that the start failed, and keeps the model all the same, without a worker and with its name."""


class LensHandler:
    """TorchServe makes one without arguments, calls `initialize` once and then `handle`."""

    def __init__(self) -> None:
        self.session: Optional[Session] = None
        self.envelope: Optional[str] = None

    def initialize(self, context: Any) -> None:
        """Whatever this raises stops the worker from starting, which is what it should do."""
        mark_following_lines(logging.getLogger())
        try:
            self._load(context)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise  # TorchServe has a plan of its own for it: one worker less.
            raise CannotStart(str(error)) from error

    def _load(self, context: Any) -> None:
        settings = read_settings(context.model_yaml_config)
        take_share_of_machine(settings)
        self.envelope = envelope_in_use()
        properties = context.system_properties
        device = device_for(properties.get("gpu_id"), torch.cuda.device_count())
        folder = Path(properties["model_dir"])
        self.session = Session.load(folder, device, settings.limits, settings.dtype)
        logger.info("model %s is loaded on %s", self.session.card.name, device)

    def handle(self, data: Sequence[Any], context: Any) -> List[Any]:
        """One reply for each row, or for each item that a service envelope found in them."""
        replies = self._replies(rows_of(data, self.envelope), context)
        if self.session is None or self.envelope not in LISTING:
            return replies
        return as_values(replies[0], max(1, len(data or ())), self.session.limits.response_bytes)

    def _replies(self, rows: Sequence[Any], context: Any) -> List[bytes]:
        """TorchServe would answer what is raised here for all of them."""
        outbox = Outbox(context, len(rows))
        try:
            if self.session is None:
                raise RuntimeError("handle was called before initialize")
            Batch(self.session, outbox, context, dict(enumerate(rows))).answer()
        except Exception as error:
            outbox.finish_others(internal(error, "answering the batch"))
        return outbox.bodies()


def device_for(gpu_id: Optional[int], gpus: int) -> str:
    """TorchServe numbers the machine's GPUs, also where this process sees fewer of them."""
    return "cpu" if gpu_id is None or gpus == 0 else f"cuda:{min(gpu_id, gpus - 1)}"


def take_share_of_machine(settings: Settings) -> None:
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if settings.nice:
        os.nice(settings.nice)
