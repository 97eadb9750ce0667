"""The handler of an instrumented archive: its own handler for all rows but those for the lens.

What only its own handler is asked goes to it as it came, and its answer back as it is. Where rows
for the lens came in the same batch, the others go to it as one batch of their own. A lens that
cannot be opened costs no prediction. Behind a service envelope, which makes other rows of what
callers sent, all rows are its own handler's.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, List, Mapping, Optional, Sequence

from servelens.engine.faults import as_problem
from servelens.engine.session import Session
from servelens.protocol import Problem, ProblemError
from servelens.torchserve.batch import Batch
from servelens.torchserve.enveloped import envelope_in_use
from servelens.torchserve.faults import internal, mark_following_lines
from servelens.torchserve.handler import take_share_of_machine
from servelens.torchserve.opening import open_lens
from servelens.torchserve.original import NoLens, Original, context_of
from servelens.torchserve.outbox import Outbox
from servelens.torchserve.plainly import encoded, refused
from servelens.torchserve.replies import problem_reply
from servelens.torchserve.settings import read_settings
from servelens.torchserve.sorting import asks_lens

logger = logging.getLogger(__name__)

ORIGINAL_MANIFEST = "MAR-INF/ORIGINAL-MANIFEST.json"


class WrappedHandler:
    """TorchServe makes one without arguments, calls `initialize` once and then `handle`."""

    def __init__(self) -> None:
        self.original: Optional[Original] = None
        self.envelope: Optional[str] = None
        self.lens: Optional[Session] = None
        self.why_no_lens: Exception = NoLens("the worker has not loaded it")

    def initialize(self, context: Any) -> None:
        """What the archive's own handler raises stops the worker, as it did before."""
        mark_following_lines(logging.getLogger())
        self.envelope = envelope_in_use()
        manifest = context.manifest
        folder = Path(context.system_properties["model_dir"])
        context.manifest = json.loads((folder / ORIGINAL_MANIFEST).read_text(encoding="utf-8"))
        self.original = Original(context.manifest["model"]["handler"])
        self.original.initialize(context)
        if self.envelope is None:
            self._open_lens(context, manifest)
        else:
            logger.warning("no lens: the server has the service envelope %s", self.envelope)

    def _open_lens(self, context: Any, manifest: Mapping[str, Any]) -> None:
        assert self.original is not None
        try:
            settings = read_settings(context.model_yaml_config)
            self.lens = open_lens(self.original, context, manifest, settings)
        except NoLens as reason:
            self.why_no_lens = reason
            logger.warning("this model cannot be looked into: %s", reason)
        except Exception as error:
            self.why_no_lens = ProblemError(as_problem(error, "its lens could not be opened"))
            self.why_no_lens.__cause__ = error
        else:
            take_share_of_machine(settings)
            logger.info("the lens beside %s is open", context.model_name)

    def handle(self, data: Sequence[Any], context: Any) -> Any:
        """One answer for each row."""
        assert self.original is not None
        ours = self._for_lens(data, context)
        if not ours:
            return self.original.handle(data, context)
        outbox = Outbox(context, len(data))
        try:
            self._predict(
                [row for row in range(len(data)) if row not in ours], data, context, outbox
            )
            self._look(ours, data, context, outbox)
        except Exception as error:
            outbox.finish_others(internal(error, "answering the batch"))
        return outbox.bodies()

    def _for_lens(self, data: Sequence[Any], context: Any) -> List[int]:
        if self.envelope is not None:
            return []
        headers = context.get_all_request_header
        return [place for place, row in enumerate(data) if asks_lens(row, headers(place))]

    def _predict(
        self, rows: Sequence[int], data: Sequence[Any], context: Any, outbox: Outbox
    ) -> None:
        """As TorchServe would answer them, had no others come."""
        assert self.original is not None
        if not rows:
            return
        try:
            answers = self.original.handle([data[row] for row in rows], context_of(context, rows))
            bodies = encoded(answers, len(rows))
        except Exception as error:
            logger.warning("the archive's own handler failed", exc_info=error)
            for row in rows:
                outbox.finish(row, refused(error))
        else:
            for row, body in zip(rows, bodies):
                outbox.hand_on(row, body)

    def _look(self, rows: Sequence[int], data: Sequence[Any], context: Any, outbox: Outbox) -> None:
        if self.lens is not None:
            Batch(self.lens, outbox, context, {row: data[row] for row in rows}).answer()
            return
        nothing = Problem(
            "internal",
            f"this archive's model cannot be looked into: {self.why_no_lens}",
            hint="its predictions are answered as they were before",
        )
        for row in rows:
            outbox.finish(row, problem_reply(nothing))
