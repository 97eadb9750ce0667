"""Where files of what a page shows are fetched: its answers, from the cache if they are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, Response

from servelens.client import Result
from servelens.client.saving import FORMATS
from servelens.protocol import shorten
from servelens_dashboard import questions
from servelens_dashboard.desk import Desk
from servelens_dashboard.exports import DOOR, KINDS, file_name
from servelens_dashboard.lens import Lens
from servelens_dashboard.parts import asked_whole
from servelens_dashboard.scene import Scene, each_scene, set_scene
from servelens_dashboard.troubles import EXPECTED, tell, unexpected
from servelens_dashboard.url_state import BadAddress, View, parse, parse_entry


def open_doors(http: FastAPI, desk: Desk) -> None:
    @http.get(f"{DOOR}/{{kind}}/{{page}}")
    async def give(kind: str, page: str, request: Request) -> Response:
        part = request.query_params.get("part", "")
        try:
            view = parse(page, request.url.query)
            body = await desk.run(_file, desk.lens, kind, view, part)
        except EXPECTED as error:
            return PlainTextResponse(tell(error).what, 400)
        except Exception as error:
            return PlainTextResponse(unexpected(error).what, 500)
        named = {"Content-Disposition": f'attachment; filename="{file_name(view, part)}.{kind}"'}
        return Response(body, 200, named, KINDS[kind].media_type)


def _file(lens: Lens, kind: str, view: View, part: str) -> bytes:
    if kind not in KINDS:
        raise BadAddress(f"Nothing is saved as {shorten(kind)}; there are {', '.join(KINDS)}.")
    if view.page not in SOURCES:
        raise BadAddress(f"The page {view.page} has nothing to save.")
    return FORMATS[f".{kind}"](*SOURCES[view.page](lens, view, part))


def _explained(lens: Lens, view: View, part: str) -> Sequence[Result]:
    return [asked_whole(lens, set_scene(view, lens), parse_entry(part))]


def _explored(lens: Lens, view: View, part: str) -> Sequence[Result]:
    asked = {"atlas": questions.atlas, "channel": questions.channel, "unit": questions.unit}
    if part not in asked:
        raise BadAddress(f"There is no {shorten(part)} to save; there are {', '.join(asked)}.")
    scene = set_scene(view, lens)
    return [asked[part](scene, questions.about(scene, lens))]


def _compared(lens: Lens, view: View, _: str) -> Sequence[Result]:
    """Of those that answer, as on the page."""
    scenes = each_scene(view, lens).values()
    able = [scene for scene in scenes if isinstance(scene, Scene)]
    if not able:
        raise BadAddress("None of these models can answer now.")
    return [asked_whole(lens, scene, scene.view.methods[0]) for scene in able]


SOURCES: Mapping[str, Callable[[Lens, View, str], Sequence[Result]]] = {
    "explain": _explained,
    "explore": _explored,
    "compare": _compared,
}
