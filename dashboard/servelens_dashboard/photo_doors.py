"""Where the browser brings photos and gets them: plain HTTP, for a photo is no callback's value.

What is answered is where to look next: the page that the photo was brought to, with it; and what
of that page is other then, where it stays.
"""

from __future__ import annotations

import io

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from servelens.client import BadPhoto
from servelens.client.photos import shown
from servelens_dashboard.components.written import written
from servelens_dashboard.desk import Desk
from servelens_dashboard.shelf import Shelf
from servelens_dashboard.staying import brought
from servelens_dashboard.troubles import tell, unexpected
from servelens_dashboard.url_state import BadAddress, parse_at

# Larger than any column it is shown in; the model gets the photo as it was brought.
LONGEST = 1600
AS_FILE = {"Content-Disposition": "attachment"}
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}


def open_doors(http: FastAPI, desk: Desk, most_bytes: int) -> None:
    shelf = desk.lens.shelf

    @http.post("/photos")
    async def bring(request: Request, to: str = "/") -> Response:
        try:
            photo = await _body(request, most_bytes)
            name, view = await desk.run(shelf.put, photo), parse_at(to)
            told = {"photo": name, "search": view.with_photo(name).search}
            told |= await desk.run(brought, desk, view, name)
            return Response(written(told), media_type="application/json")
        except (BadPhoto, BadAddress) as error:
            return JSONResponse({"error": tell(error).what}, 400)
        except Exception as error:
            return JSONResponse({"error": unexpected(error).words}, 500)

    @http.get("/photos/{name}")
    async def give(name: str) -> Response:
        try:
            return Response(await desk.run(_picture, shelf, name), 200, FOREVER, "image/png")
        except BadPhoto as error:
            return JSONResponse({"error": tell(error).what}, 404)

    @http.get("/photos/{name}/original")
    async def give_original(name: str) -> Response:
        """As it was brought, to be kept and not to be shown."""
        try:
            photo = await desk.run(shelf.get, name)
            return Response(photo, 200, AS_FILE, "application/octet-stream")
        except BadPhoto as error:
            return JSONResponse({"error": tell(error).what}, 404)


async def _body(request: Request, most_bytes: int) -> bytes:
    """Never more than a photo may have, whatever the request says of its length."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most_bytes:
            raise BadPhoto(
                f"The photo has more than {most_bytes / 1e6:.0f} MB, the most that is taken. "
                "Make it smaller: no model looks at so many pixels."
            )
    return bytes(body)


def _picture(shelf: Shelf, name: str) -> bytes:
    """As a person sees it, turned the right way up; written anew, so that it is a picture."""
    picture = shown(shelf.get(name))
    if picture is None:
        raise BadPhoto("This is no photo that can be opened.")
    picture.thumbnail((LONGEST, LONGEST))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
