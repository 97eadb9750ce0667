"""From an answer to the bytes, content type and status of one row's reply.

TorchServe kills a worker whose reply is above its limit, so every reply is measured first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Tuple, Union

from servelens.codec import (
    JSON_TYPE,
    NPZ_TYPE,
    STREAM_TYPE,
    pack_json,
    pack_npz,
    write_json,
    write_npz,
)
from servelens.engine.budget import ASK_FOR_LESS, check_size
from servelens.protocol import Document, Problem, ProblemError, Request
from servelens.torchserve.rows import Question, RowQuestion

FEWER_INSTANCES = "send fewer instances in one call"
LARGER_LIMITS = "raise the archive's response_bytes, and the server's max_response_size with it"

# A capability document is a plain mapping already.
Answer = Union[Document, Problem, Mapping[str, Any]]


@dataclass(frozen=True)
class Reply:
    """What TorchServe sends for one row."""

    body: bytes
    content_type: str = JSON_TYPE
    status: int = 200
    # What is wrong, as it is written.
    problem: Optional[Mapping[str, Any]] = None

    @property
    def is_problem(self) -> bool:
        return self.problem is not None


def reply_to(question: RowQuestion, answers: Sequence[Answer], limit: int) -> Reply:
    """One row's reply to its parts' answers, or the problem that it would be too large."""
    try:
        if question.listed is not None:
            return _listed(question, answers, limit)
        return _single(question.parts[0], answers[0], limit)
    except ProblemError as error:
        return problem_reply(error.problem)


def problem_reply(problem: Problem) -> Reply:
    wire = problem.to_wire()
    return Reply(write_json(wire), status=problem.code, problem=wire)


def frame_reply(frame: Mapping[str, Any], request: Request, limit: int) -> Reply:
    """A stream's frame as one line; raises ProblemError where it is larger than a reply may be."""
    packed, ms = _timed_pack(frame, request.dtype)
    if "document" in packed:
        packed["document"]["cost"]["ms"]["encode"] = ms
    reply = _line(packed)
    check_size(len(reply.body), limit)
    return reply


def problem_frame(problem: Problem) -> Reply:
    return _line({"frame": "problem", "problem": problem.to_wire()})


def _line(packed: Any) -> Reply:
    return Reply(write_json(packed) + b"\n", STREAM_TYPE, problem=packed.get("problem"))


def _single(part: Union[Question, Problem], answer: Answer, limit: int) -> Reply:
    if isinstance(answer, Problem):
        return problem_reply(answer)
    if isinstance(answer, Document) and isinstance(part, Question) and _is_npz(part):
        reply = Reply(_npz(answer, part.request.dtype), NPZ_TYPE)
    else:
        reply = Reply(write_json(_json_value(part, answer)))
    ask_instead = ASK_FOR_LESS if isinstance(answer, Document) else LARGER_LIMITS
    check_size(len(reply.body), limit, ask_instead)
    return reply


def _listed(question: RowQuestion, answers: Sequence[Answer], limit: int) -> Reply:
    """Written one by one, so that what is too large together is never in memory together."""
    items, size = [], 0
    for part, answer in zip(question.parts, answers):
        items.append(write_json(_json_value(part, answer)))
        size += len(items[-1]) + len(b",")
        check_size(size, limit, FEWER_INSTANCES)
    return Reply(b'{"%s":[%s]}' % (str(question.listed).encode(), b",".join(items)))


def _json_value(part: Union[Question, Problem], answer: Answer) -> Any:
    if isinstance(answer, Problem):
        return answer.to_wire()
    if not isinstance(answer, Document) or not isinstance(part, Question):
        return answer
    if part.kind == "bare":
        return {chosen.label: chosen.probability for chosen in answer.predictions}
    packed, ms = _timed_pack(answer, part.request.dtype)
    packed["cost"]["ms"]["encode"] = ms
    return packed


def _timed_pack(document: Any, dtype: str) -> Tuple[Any, float]:
    started = time.perf_counter()
    packed = pack_json(document, dtype)
    return packed, _ms_since(started)


def _npz(document: Document, dtype: str) -> bytes:
    started = time.perf_counter()
    packed, arrays = pack_npz(document, dtype)
    packed["cost"]["ms"]["encode"] = _ms_since(started)
    return write_npz(packed, arrays)


def _is_npz(part: Question) -> bool:
    return part.kind == "lens" and part.request.format == "npz"


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
