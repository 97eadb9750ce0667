"""Where the browser brings files: streamed to disk, for they are larger than what memory is for."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from servelens_dashboard.desk import Desk
from servelens_dashboard.workshop.drawer import SUFFIXES, BadFile, Drawer, Item
from servelens_dashboard.workshop.jobs import Workshop

# Written beside the event loop, so often as pays.
PIECE = 4_000_000
GONE = 499


def open_doors(http: FastAPI, desk: Desk, workshop: Workshop) -> None:
    drawer = workshop.drawer

    @http.get("/files")
    async def tell_terms() -> Response:
        """Asked before a file is sent, for one that is refused halfway cannot be told so."""
        can = desk.settings.store is not None
        return JSONResponse({"suffixes": SUFFIXES if can else (), "most_bytes": drawer.most_bytes})

    @http.post("/files")
    async def bring(request: Request, name: str) -> Response:
        try:
            item = await _receive(request, drawer, name, desk)
        except BadFile as error:
            return JSONResponse({"error": str(error)}, 400)
        except ClientDisconnect:
            return Response(status_code=GONE)
        if not item.is_archive:
            workshop.look(item)
        return JSONResponse({"file": item.name})


async def _receive(request: Request, drawer: Drawer, name: str, desk: Desk) -> Item:
    with drawer.receive(name) as arrival:
        waiting = bytearray()
        async for piece in request.stream():
            waiting += piece
            if len(waiting) >= PIECE:
                await desk.run(arrival.add, bytes(waiting))
                waiting.clear()
        await desk.run(arrival.add, bytes(waiting))
        return await desk.run(arrival.close)
