"""When each row's reply leaves: at the batch's end, or, where a neighbour streams, before it.

TorchServe sends a batch's replies when `handle` returns, and a stream's frames before that, in
messages of their own. It takes a batch for finished with the first message in which no row has
more to come. So a row that is ready travels in the next message that carries a frame, and is then
struck from `context.request_ids`, from which TorchServe writes the last message.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Callable, List, Optional

from ts.protocol.otf_message_handler import create_predict_response

from servelens.protocol import Problem
from servelens.torchserve.replies import Reply, problem_frame, problem_reply
from servelens.torchserve.rows import is_grpc

STREAM_NEXT = "ts_stream_next"
SENT = "Prediction success"


class Outbox:
    """The replies of one batch."""

    def __init__(self, context: Any, rows: int) -> None:
        self._context = context
        self._bodies: List[Any] = [b""] * rows
        self._ready: List[int] = []
        self._open = set(range(rows))

    def finish(self, row: int, reply: Reply) -> None:
        """The row's one reply, or the last frame of its stream."""
        self._address(row, reply)
        self._open.remove(row)
        if is_grpc(self._context.get_all_request_header(row)):
            # StreamPredictions waits for a last frame also where there was none before.
            self._context.set_response_header(row, STREAM_NEXT, "false")

    def hand_on(self, row: int, body: Any) -> None:
        """A row's answer by another handler, which has said all else about it to the context."""
        self._bodies[row] = body
        self._ready.append(row)
        self._open.remove(row)

    def frame(self, row: int, reply: Reply) -> None:
        """One of a row's frames, but the last; it leaves at once, and what is ready with it."""
        self._address(row, reply)
        self._send(streaming=row)

    def finish_others(self, problem: Problem) -> None:
        """The same problem for all rows that have no reply yet."""
        for row in sorted(self._open):
            streams = self._streams(row)
            self.finish(row, problem_frame(problem) if streams else problem_reply(problem))

    def bodies(self) -> List[Any]:
        """What `handle` returns: of it TorchServe sends what has not left yet."""
        return self._bodies

    def _address(self, row: int, reply: Reply) -> None:
        self._bodies[row] = reply.body
        phrase = HTTPStatus(reply.status).phrase
        self._context.set_response_status(reply.status, phrase, row)
        self._context.set_response_content_type(row, reply.content_type)
        self._ready.append(row)

    def _send(self, streaming: int) -> None:
        context = self._context
        ids = {row: context.request_ids[row] for row in self._ready}
        # TorchServe asks for each row whether its stream stops; None is a row without one.
        decisions = {row: self._stops(row) for row in ids}
        decisions[streaming] = False
        context.stopping_criteria = {row: _always(stops) for row, stops in decisions.items()}
        try:
            message = create_predict_response(self._bodies, ids, SENT, 200, context=context)
        finally:
            context.stopping_criteria = None
        if message is not None:  # Of several ranks only the first speaks to the front end.
            context.cl_socket.sendall(message)
        self._ready = []
        for row in ids.keys() - self._open:
            del context.request_ids[row]

    def _stops(self, row: int) -> Optional[bool]:
        return True if self._streams(row) else None

    def _streams(self, row: int) -> bool:
        return bool(self._context.get_response_headers(row).get(STREAM_NEXT) == "true")


def _always(answer: Optional[bool]) -> Callable[[bytes], Optional[bool]]:
    return lambda _: answer
