"""What TorchServe makes of a handler's answers and errors, for rows that cannot have its own.

TorchServe answers a whole batch alike where its handler fails. A batch in which others have answers
of their own must not fail, so that what its plain rows would have got is written here.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, List, Tuple

import torch
from ts.utils.util import PredictionException

from servelens.torchserve.replies import Reply

STATUSES = frozenset(int(status) for status in HTTPStatus)
READY = (bytes, bytearray, str, torch.Tensor)


def encoded(answers: Any, rows: int) -> List[Any]:
    """As TorchServe sends them; raises PredictionException where it would send an error."""
    if not isinstance(answers, list):
        raise PredictionException("Invalid model predict output", 503)
    if len(answers) != rows:
        raise PredictionException("number of batch response mismatched", 503)
    try:
        return [one if isinstance(one, READY) else _json(one) for one in answers]
    except Exception:
        raise PredictionException("Unsupported model output data type.", 503) from None


def refused(error: Exception) -> Reply:
    """The answer that TorchServe's front end gives to each row of a batch that failed so."""
    code, message = _told(error)
    code = 507 if code == 413 else code if code in STATUSES else 503
    told = {"code": code, "type": "InternalServerException", "message": message}
    body = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    return Reply(body.encode("utf-8"), status=code, problem=told)


def _told(error: Exception) -> Tuple[int, str]:
    if isinstance(error, MemoryError):
        return 507, "Out of resources"
    if isinstance(error, PredictionException):
        return int(error.error_code), str(error.message)
    return (507, "Out of resources") if "CUDA" in str(error) else (503, "Prediction failed")


def _json(answer: Any) -> bytes:
    return json.dumps(answer, indent=2).encode("utf-8")
