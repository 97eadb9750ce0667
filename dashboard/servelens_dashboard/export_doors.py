"""Where files of what a page shows are fetched: its answers, from the cache if they are there; and
the calls that they are the answers to, as text."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, Response

from servelens.protocol import shorten
from servelens_dashboard.desk import Desk
from servelens_dashboard.export_parts import part_of
from servelens_dashboard.exports import CALLS, FILES, KINDS, file_name
from servelens_dashboard.lens import Lens
from servelens_dashboard.scene import Scene, each_scene, set_scene
from servelens_dashboard.snippets import SNIPPETS
from servelens_dashboard.troubles import EXPECTED, tell, unexpected
from servelens_dashboard.url_state import COMPARE, BadAddress, View, parse


def open_doors(http: FastAPI, desk: Desk) -> None:
    async def answered(make: Callable[[], Response]) -> Response:
        try:
            return await desk.run(make)
        except EXPECTED as error:
            return PlainTextResponse(tell(error).words, 400)
        except Exception as error:
            return PlainTextResponse(unexpected(error).words, 500)

    @http.get(f"{FILES}/{{kind}}/{{page}}")
    async def give(kind: str, page: str, request: Request) -> Response:
        part = request.query_params.get("part", "")
        return await answered(lambda: _file(desk.lens, kind, parse(page, request.url.query), part))

    @http.get(f"{CALLS}/{{kind}}/{{page}}")
    async def tell_call(kind: str, page: str, request: Request) -> Response:
        part, here = request.query_params.get("part", ""), str(request.base_url)

        def make() -> Response:
            return PlainTextResponse(_call(desk, kind, parse(page, request.url.query), part, here))

        return await answered(make)


def _file(lens: Lens, kind: str, view: View, name: str) -> Response:
    if kind not in KINDS:
        raise BadAddress(f"Nothing is saved as {shorten(kind)}; there are {', '.join(KINDS)}.")
    part = part_of(view, name)
    if kind not in part.formats:
        known = ", ".join(part.formats)
        raise BadAddress(f"The part {name} is not saved as {kind}; there are {known}.")
    view = part.narrowed(view)
    answers = [part.answer(scene, lens) for scene in _scenes(view, lens)]
    named = f'attachment; filename="{file_name(view, name)}.{kind}"'
    body = part.formats[kind](*answers)
    return Response(body, 200, {"Content-Disposition": named}, KINDS[kind].media_type)


def _call(desk: Desk, kind: str, view: View, name: str, dashboard: str) -> str:
    if kind not in SNIPPETS:
        raise BadAddress(f"No call is told as {shorten(kind)}; there are {', '.join(SNIPPETS)}.")
    part = part_of(view, name)
    scene, *others = _scenes(part.narrowed(view), desk.lens)
    if others:
        raise BadAddress("Each of these models is a call of its own; copy that of one of them.")
    photo = scene.view.photo if part.has_photo else None
    request = part.request(scene, desk.lens)
    return SNIPPETS[kind].of(desk.settings, dashboard, scene.view.models[0], photo, request)


def _scenes(view: View, lens: Lens) -> list[Scene]:
    """Of several models those that answer, as on the page."""
    scene = set_scene(view, lens)
    if view.page != COMPARE:
        return [scene]
    scenes = each_scene(scene.view, lens).values()
    able = [each for each in scenes if isinstance(each, Scene)]
    if not able:
        raise BadAddress("None of these models can answer now.")
    return able
