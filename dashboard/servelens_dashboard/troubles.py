"""What went wrong, as a page says it: what happened, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from servelens.client import (
    BadPhoto,
    ClientError,
    LensProblem,
    NoKey,
    NotConnected,
    Refused,
    TooSlow,
)
from servelens_dashboard.lens import NoLens, NoModel
from servelens_dashboard.url_state import BadAddress

EXPECTED = (ClientError, NoModel, NoLens, BadAddress)

NO_WORKER = 503
OUT_OF_MEMORY = 507


@dataclass(frozen=True)
class Trouble:
    what: str
    advice: str


def tell(error: Exception) -> Trouble:
    """Of an error that is one of EXPECTED."""
    return Trouble(_sentence(str(error)), _advice(error))


def _advice(error: Exception) -> str:
    if isinstance(error, NotConnected):
        return "Start TorchServe; this page goes on by itself as soon as it answers."
    if isinstance(error, NoKey):
        return "Start the dashboard with --keys and the key_file.json of the running server."
    if isinstance(error, TooSlow):
        return "Its worker may be busy with other work, or stuck. Retry, or see the page Models."
    if isinstance(error, LensProblem):
        return ""
    if isinstance(error, Refused) and error.status == NO_WORKER:
        return "The model's worker is starting, ended, or its queue is full; see the page Models."
    if isinstance(error, Refused) and error.status == OUT_OF_MEMORY:
        return "Ask for fewer methods at once, or a coarser setting."
    if isinstance(error, (BadPhoto, NoModel, NoLens, BadAddress)):
        return ""
    return "Retry; if it stays, look into the server's log."


def _sentence(text: str) -> str:
    begun = text[:1].upper() + text[1:]
    return begun if begun.endswith((".", "?", "!")) else f"{begun}."
