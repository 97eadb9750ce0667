"""A whole TorchServe as a context manager: a store's archives, each with workers that are ready.

Example::

    with TorchServe(Path("archives/store"), [Model.parse("shapes.mar")], config=settings) as server:
        server.client.classify("shapes", image)
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from servelens.client import KeyFile, NoKeys, Refused, Server, Unreachable
from servelens.client.blame import worker_error
from servelens.client.keys import INFERENCE
from servelens.local.cores import share
from servelens.local.errors import ModelFailed, ServerDied, StoreMissing
from servelens.local.front_end import FrontEnd
from servelens.local.model import Model
from servelens.local.ports import Ports
from servelens.local.properties import read_properties

MODEL_PATIENCE_S = 900.0
LOG_PATIENCE_S = 2.0


class TorchServe:
    """Inside ``with`` the server is up and every model has its workers ready.

    ``config`` is the base of the settings, the repository's config.properties; ``ports``,
    ``tokens`` and ``settings`` override it. ``work`` gets the server's keys, logs and settings, and
    stays; absent, they go with the server. ``environ`` is added to our environment for the server
    and its workers, which share the cores unless it says otherwise. ``client`` asks the server.
    """

    def __init__(
        self,
        store: Path,
        models: Sequence[Model] = (),
        *,
        config: Path,
        ports: Ports | None = None,
        tokens: bool = True,
        work: Path | None = None,
        settings: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        tell: Callable[[str], None] = lambda progress: None,
    ) -> None:
        self.store = store.resolve()
        self.models = tuple(models)
        self._tell = tell
        self._check_store()
        self._tokens = tokens
        self._work = work
        self._wished_ports = ports or Ports()
        workers = sum(model.workers or 1 for model in models)
        self._environ = {**share(workers, os.environ), **(environ or {})}
        self._settings = {
            **read_properties(config),
            **(settings or {}),
            "disable_token_authorization": str(not tokens).lower(),
            "model_store": str(self.store),
        }

    def __enter__(self) -> TorchServe:
        with ExitStack() as on_failure:
            self._open(on_failure)
            self._on_exit = on_failure.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._on_exit.close()

    @property
    def ports(self) -> Ports:
        return self.front_end.ports

    @property
    def url(self) -> str:
        """Where predictions and explanations are asked for."""
        return self.ports.url("inference")

    @property
    def key_file(self) -> Path | None:
        """Where the server keeps its present keys; None when it asks for none."""
        return self.front_end.key_file if self._tokens else None

    def authorization(self, door: str = INFERENCE) -> dict[str, str]:
        """The headers that now open ``inference`` or ``management``, for calls without client."""
        return self._keys.headers(door)

    def register(self, model: Model) -> None:
        """Returns when the model's workers are ready; ``ModelFailed`` says why they cannot be."""
        self._tell(f"starting {model.name} ({model.archive})")
        try:
            self._register(model)
        except Refused as refused:
            said = self._settled_worker_error(model.name)
            raise ModelFailed(model.name, refused.reason.rstrip("."), said) from refused
        except Unreachable as silence:
            raise ServerDied(f"While {model.name} was started: {silence}.") from silence
        self._tell(f"{model.name} is ready")

    def _register(self, model: Model) -> None:
        batching = {"batch_size": model.batch_size, "max_batch_delay": model.batch_delay_ms}
        self.client.register(
            model.archive,
            model.name,
            workers=model.workers or 1,
            patience_s=MODEL_PATIENCE_S,
            **{word: value for word, value in batching.items() if value is not None},
        )
        # The worker count of the archive's model-config.yaml beats that of a registration.
        if model.workers not in (None, len(self.client.describe(model.name).workers)):
            self.client.scale(model.name, model.workers, MODEL_PATIENCE_S)

    def _open(self, stack: ExitStack) -> None:
        """Whatever is made here is undone by the stack, in reverse order."""
        temporary = Path(tempfile.mkdtemp(prefix="ts-")).resolve()
        stack.callback(shutil.rmtree, temporary, ignore_errors=True)
        work = temporary / "work" if self._work is None else self._work.resolve()
        work.mkdir(parents=True, exist_ok=True)
        self._tell(f"starting TorchServe in {work}")
        self.front_end = FrontEnd(
            work, temporary, self._settings, self._wished_ports, self._environ
        )
        stack.callback(self.front_end.stop)
        self.front_end.start()
        self._keys = NoKeys() if self.key_file is None else KeyFile(self.key_file)
        management = self.ports.url("management")
        self.client = stack.enter_context(Server(self.url, management, self._keys))
        for model in self.models:
            self.register(model)

    def _check_store(self) -> None:
        if not self.store.is_dir():
            raise StoreMissing(f"The model store {self.store} is no folder; build archives first.")
        there = sorted(path.name for path in self.store.glob("*.mar"))
        for model in self.models:
            if model.archive not in there:
                raise StoreMissing(
                    f"The model store {self.store} has no archive {model.archive!r}; "
                    f"it has {', '.join(there) or 'none'}."
                )

    def _settled_worker_error(self, model: str) -> str:
        """The refusal may overtake the worker's last words on their way into the log."""
        said, deadline = "", time.monotonic() + LOG_PATIENCE_S
        while time.monotonic() < deadline:
            before, said = said, worker_error(self.front_end.logs / "model_log.log", model)
            if said and said == before:
                break
            time.sleep(0.2)
        return said
