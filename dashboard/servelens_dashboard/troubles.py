"""What went wrong, as a page says it: what happened, and what to do about it."""

from __future__ import annotations

import logging
import secrets
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
from servelens_dashboard.lens import NoLens
from servelens_dashboard.overview import NoModel
from servelens_dashboard.running import NotDone
from servelens_dashboard.url_state import BadAddress
from servelens_dashboard.workshop.drawer import BadFile

# Told in sentences already, which may begin with a model's name.
OURS = (NoModel, NoLens, NotDone, BadAddress, BadFile)
EXPECTED = (ClientError, *OURS)

log = logging.getLogger(__name__)

NO_WORKER = 503
KEYS = "Start the dashboard with --keys and the key_file.json of the running server."
OUT_OF_MEMORY = 507


@dataclass(frozen=True)
class Trouble:
    what: str
    advice: str

    @property
    def words(self) -> str:
        return f"{self.what} {self.advice}".strip()


def tell(error: Exception) -> Trouble:
    """Of an error that is one of EXPECTED."""
    said = error.reason if isinstance(error, LensProblem) else str(error)
    begun = said if isinstance(error, OURS) else said[:1].upper() + said[1:]
    return Trouble(begun if begun.endswith((".", "?", "!")) else f"{begun}.", _advice(error))


def unexpected(error: BaseException) -> Trouble:
    """A fault of ours: the log has all of it, the page has what finds it there."""
    name = secrets.token_hex(4)
    log.error("fault %s", name, exc_info=error)
    return Trouble(
        "The dashboard itself failed at this.", f"Retry; its log says more, under fault {name}."
    )


def _advice(error: Exception) -> str:
    if isinstance(error, NotConnected):
        return "Start TorchServe; this page goes on by itself as soon as it answers."
    if isinstance(error, NoKey):
        return KEYS
    if isinstance(error, TooSlow):
        return "Its worker may be busy with other work, or stuck. Retry, or see the page Models."
    if isinstance(error, LensProblem):
        return ""
    if isinstance(error, Refused) and error.is_of_a_key:
        return f"Its keys have run out, or are another server's. {KEYS}"
    if isinstance(error, Refused) and error.status == NO_WORKER:
        return "The model's worker is starting, ended, or its queue is full; see the page Models."
    if isinstance(error, Refused) and error.status == OUT_OF_MEMORY:
        return "Ask for fewer methods at once, or a coarser setting."
    if isinstance(error, (BadPhoto, *OURS)):
        return ""
    return "Retry; if it stays, look into the server's log."
