"""The other end of the wire: ask a running server. Needs no torch."""

from servelens.client.errors import (
    BadAnswer,
    BadName,
    BadPhoto,
    ClientError,
    LensProblem,
    MissingExtra,
    NoKey,
    NotConnected,
    NothingToShow,
    NotSaved,
    Refused,
    TooSlow,
    Unreachable,
)
from servelens.client.keys import KeyFile, NoKeys, Tokens, keys_from_environment
from servelens.client.many import in_order
from servelens.client.registered import Version, Worker
from servelens.client.results import Activation, Attribution, Origin, Prediction, Result
from servelens.client.server import Server

__all__ = [
    "Activation",
    "Attribution",
    "BadAnswer",
    "BadName",
    "BadPhoto",
    "ClientError",
    "KeyFile",
    "LensProblem",
    "MissingExtra",
    "NoKey",
    "NoKeys",
    "NotConnected",
    "NotSaved",
    "NothingToShow",
    "Origin",
    "Prediction",
    "Refused",
    "Result",
    "Server",
    "Tokens",
    "TooSlow",
    "Unreachable",
    "Version",
    "Worker",
    "in_order",
    "keys_from_environment",
]
