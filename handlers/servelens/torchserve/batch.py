"""One batch of rows, from what TorchServe hands over to what is sent for each of them.

Rows are read alone, run together and answered alone. Streams come last and one after the other,
so that as few as possible wait for them.
"""

from __future__ import annotations

import itertools
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from servelens.engine.session import Session
from servelens.protocol import Document, Problem, ProblemError, Request
from servelens.torchserve.faults import internal
from servelens.torchserve.journal import Journal
from servelens.torchserve.metrics import Tally
from servelens.torchserve.outbox import Outbox
from servelens.torchserve.replies import (
    Answer,
    Reply,
    frame_reply,
    problem_frame,
    problem_reply,
    reply_to,
)
from servelens.torchserve.rows import Headers, RowQuestion, read_row

# A stream's first frame takes along the replies that are ready, before any pass is made.
BEGUN = {"frame": "progress", "done": 0, "total": 1, "text": "the request is checked"}
LAST_FRAMES = ("document", "problem")

# A row, and which of its parts.
Place = Tuple[int, int]
Frames = Iterator[Mapping[str, Any]]


class Batch:
    """The rows that came together; each is answered as if it had come alone."""

    def __init__(
        self, session: Session, outbox: Outbox, context: Any, rows: Mapping[int, Any]
    ) -> None:
        """`rows` by their places in the batch that TorchServe sent."""
        self._session = session
        self._outbox = outbox
        self._metrics = context.metrics
        self._journal = Journal(context.request_ids)
        self._questions = {
            place: _read(row, context.get_all_request_header(place)) for place, row in rows.items()
        }
        self._tally = Tally(rows=len(rows))
        self._retries_before = session.memory_retries

    def answer(self) -> None:
        answers = self._answers()
        for row, question in self._questions.items():
            if question.streamed is None:
                parts = [answers[row, part] for part in range(len(question.parts))]
                self._finish(row, self._reply(question, parts))
        for row, request, frames in self._open_streams():
            with self._in_engine():
                self._stream(row, request, frames)
        self._tally.memory_retries = self._session.memory_retries - self._retries_before
        self._tally.report(self._metrics)

    def _answers(self) -> Dict[Place, Answer]:
        """The answer to each part of each row that is not a stream."""
        answers: Dict[Place, Answer] = {}
        asked: Dict[Place, Request] = {}
        for row, question in self._questions.items():
            for index, part in enumerate(question.parts if question.streamed is None else ()):
                if isinstance(part, Problem):
                    answers[row, index] = part
                elif part.kind == "describe":
                    answers[row, index] = self._session.describe()
                else:
                    asked[row, index] = part.request
        for (row, index), answer in zip(asked, self._run_together(list(asked.values()))):
            if isinstance(answer, Problem):
                answer = self._questions[row].placed(index, answer)
            elif isinstance(answer, Document):
                methods = (entry.method for entry in answer.attributions)
                self._tally.explained(methods, answer.cost.ms["compute"])
            answers[row, index] = answer
        return answers

    def _run_together(self, requests: Sequence[Request]) -> List[Answer]:
        """Those that name no budget share the time after which the worker counts as dead."""
        if not requests:
            return []
        share = self._session.limits.budget_ms / len(requests)
        with self._in_engine():
            return self._run([_with_budget(request, share) for request in requests])

    def _run(self, requests: Sequence[Request]) -> List[Answer]:
        """The engine raises for no row's sake; should it, the others are still answered."""
        try:
            return list(self._session.run(requests))
        except Exception as error:
            if len(requests) == 1:
                return [internal(error, "running the model")]
        return [self._run([request])[0] for request in requests]

    def _reply(self, question: RowQuestion, answers: Sequence[Answer]) -> Reply:
        try:
            return reply_to(question, answers, self._session.limits.response_bytes)
        except Exception as error:
            return problem_reply(internal(error, "writing an answer"))

    def _finish(self, row: int, reply: Reply) -> None:
        self._outbox.finish(row, reply)
        self._tally.finished(reply)
        self._journal.note(row, reply)

    def _count_time_of(self, document: Mapping[str, Any]) -> None:
        methods = (entry["method"] for entry in document["attributions"])
        self._tally.explained(methods, document["cost"]["ms"]["compute"])

    def _open_streams(self) -> List[Tuple[int, Request, Frames]]:
        """All are checked before the first one runs, so that what is wrong is soon said."""
        opened = []
        for row, question in self._questions.items():
            request = question.streamed
            if request is None:
                continue
            try:
                opened.append((row, request, self._session.open_stream(request)))
            except ProblemError as error:
                self._finish(row, problem_reply(error.problem))
            except Exception as error:
                self._finish(row, problem_reply(internal(error, "opening a stream")))
        return opened

    def _stream(self, row: int, request: Request, frames: Frames) -> None:
        for last, reply in self._framed(request, frames):
            if last:
                self._finish(row, reply)
            else:
                self._outbox.frame(row, reply)
                self._tally.sent(reply)

    def _framed(self, request: Request, frames: Frames) -> Iterator[Tuple[bool, Reply]]:
        """The frames as they are sent, the last one marked; there is one, whatever happens."""
        limit = self._session.limits.response_bytes
        try:
            for frame in itertools.chain((BEGUN,), frames):
                last = frame["frame"] in LAST_FRAMES
                if "document" in frame:
                    self._count_time_of(frame["document"])
                yield last, frame_reply(frame, request, limit)
                if last:
                    return
            raise RuntimeError("the engine's stream ended without a document")
        except ProblemError as error:
            yield True, problem_frame(error.problem)
        except Exception as error:
            yield True, problem_frame(internal(error, "streaming"))

    @contextmanager
    def _in_engine(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._tally.engine_ms += (time.perf_counter() - started) * 1000


def _read(row: Any, headers: Headers) -> RowQuestion:
    try:
        return read_row(row, headers)
    except Exception as error:
        return RowQuestion((internal(error, "reading the request"),))


def _with_budget(request: Request, share_ms: float) -> Request:
    return request if request.budget_ms is not None else replace(request, budget_ms=share_ms)
