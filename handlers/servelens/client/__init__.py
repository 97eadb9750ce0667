"""The other end of the wire: ask a running server. Needs requests and NumPy, never torch."""

from servelens.client.errors import ClientError, LensProblem, Refused, Unreachable
from servelens.client.keys import KeyFile, NoKeys
from servelens.client.server import Server

__all__ = ["ClientError", "KeyFile", "LensProblem", "NoKeys", "Refused", "Server", "Unreachable"]
