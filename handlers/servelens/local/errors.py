"""What can go wrong when a server is started here; every message is a sentence for a person.

LocalError
├── JavaMissing      no Java 17 or newer
├── BadConfig        config.properties cannot be read
├── BadPorts         a port that is no port, or that another process has
├── StoreMissing     the model store, or an archive in it, is not there
├── ModelFailed      a model's worker could not start; carries the worker's own words
└── ServerDied       the Java front end ended, or never answered
"""

from __future__ import annotations


class LocalError(Exception):
    """The root: whoever catches this has caught all that this package raises on purpose."""


class JavaMissing(LocalError):
    pass


class BadConfig(LocalError):
    pass


class BadPorts(LocalError):
    pass


class StoreMissing(LocalError):
    pass


class ModelFailed(LocalError):
    """A model's worker could not start."""

    def __init__(self, model: str, answer: str, worker_error: str) -> None:
        self.model = model
        self.answer = answer
        self.worker_error = worker_error
        said = f"Its worker said:\n{worker_error}" if worker_error else "Its worker said nothing."
        super().__init__(f"The model {model!r} could not start: {answer}. {said}")


class ServerDied(LocalError):
    pass
