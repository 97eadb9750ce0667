"""How callbacks ask the server: beside the event loop, and with errors as sentences."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from dash import html

from servelens_dashboard.components.notice import notice
from servelens_dashboard.components.still import still
from servelens_dashboard.lens import Lens
from servelens_dashboard.settings import Settings
from servelens_dashboard.troubles import EXPECTED, tell, unexpected

T = TypeVar("T")
# More than a server's queues can be busy with; what waits here waits for a worker.
AT_ONCE = 48


@dataclass(frozen=True)
class Desk:
    """Dash runs a callback on the loop that serves everybody, which no call may hold up."""

    lens: Lens
    settings: Settings
    threads: ThreadPoolExecutor

    @classmethod
    def of(cls, lens: Lens, settings: Settings) -> Desk:
        return cls(lens, settings, ThreadPoolExecutor(AT_ONCE, "asking"))

    async def run(self, work: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, work, *given)

    async def drawn(self, draw: Callable[[], Any], retry: html.Button | None = None) -> Any:
        """What `draw` makes, or the sentence that says why it cannot."""
        try:
            return still(await self.run(draw))
        except EXPECTED as error:
            return notice(tell(error), retry)
        except Exception as error:
            return notice(unexpected(error), retry)
