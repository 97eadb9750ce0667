"""The command `servelens-dashboard`."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

import uvicorn

from servelens_dashboard.app import make_app
from servelens_dashboard.settings import BadSettings, Settings, read_settings


class _Announced(uvicorn.Server):
    """Says where it is once it answers, so that a person or another program can go there."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and self.started:
            host, port = sockets[0].getsockname()[:2]
            print(f"ready http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    try:
        settings = read_settings(argv)
        opened = _listen(settings)
    except BadSettings as error:
        print(f"servelens-dashboard: {error}", file=sys.stderr)
        return 1
    with opened:
        config = uvicorn.Config(make_app(settings), log_level="warning", server_header=False)
        _Announced(config).run([opened])
    return 0


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise BadSettings(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}. "
            "Take another --port; 0 is any free one."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
