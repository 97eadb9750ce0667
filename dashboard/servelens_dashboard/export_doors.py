"""Where files of what a page shows are fetched: its answers, from the cache if they are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, Response

from servelens.client import Result
from servelens.client.saving import FORMATS
from servelens.protocol import shorten
from servelens_dashboard import questions
from servelens_dashboard.desk import Desk
from servelens_dashboard.exports import CARD, DOOR, KINDS, file_name
from servelens_dashboard.lens import Lens
from servelens_dashboard.parts import asked_whole
from servelens_dashboard.scene import Scene, each_scene, set_scene, trust_request
from servelens_dashboard.troubles import EXPECTED, tell, unexpected
from servelens_dashboard.url_state import ON, BadAddress, View, parse, parse_entry


@dataclass(frozen=True)
class Wanted:
    """What of a page, and whether with the trust card of its map."""

    part: str
    with_card: bool = False


def open_doors(http: FastAPI, desk: Desk) -> None:
    @http.get(f"{DOOR}/{{kind}}/{{page}}")
    async def give(kind: str, page: str, request: Request) -> Response:
        part = request.query_params.get("part", "")
        with_card = request.query_params.get(CARD) == ON
        try:
            view = parse(page, request.url.query)
            body = await desk.run(_file, desk.lens, kind, view, Wanted(part, with_card))
        except EXPECTED as error:
            return PlainTextResponse(tell(error).what, 400)
        except Exception as error:
            return PlainTextResponse(unexpected(error).what, 500)
        named = {"Content-Disposition": f'attachment; filename="{file_name(view, part)}.{kind}"'}
        return Response(body, 200, named, KINDS[kind].media_type)


def _file(lens: Lens, kind: str, view: View, wanted: Wanted) -> bytes:
    if kind not in KINDS:
        raise BadAddress(f"Nothing is saved as {shorten(kind)}; there are {', '.join(KINDS)}.")
    if view.page not in SOURCES:
        raise BadAddress(f"The page {view.page} has nothing to save.")
    return FORMATS[f".{kind}"](*SOURCES[view.page](lens, view, wanted))


def _explained(lens: Lens, view: View, wanted: Wanted) -> Sequence[Result]:
    """The card's own answer has the map that it was made of."""
    scene, entry = set_scene(view, lens), parse_entry(wanted.part)
    if not wanted.with_card:
        return [asked_whole(lens, scene, entry)]
    return [lens.ask(scene.version, scene.view.photo or "", trust_request(scene, entry))]


def _explored(lens: Lens, view: View, wanted: Wanted) -> Sequence[Result]:
    asked = {"atlas": questions.atlas, "channel": questions.channel, "unit": questions.unit}
    if wanted.part not in asked:
        raise BadAddress(
            f"There is no {shorten(wanted.part)} to save; there are {', '.join(asked)}."
        )
    scene = set_scene(view, lens)
    return [asked[wanted.part](scene, questions.about(scene, lens))]


def _compared(lens: Lens, view: View, _: Wanted) -> Sequence[Result]:
    """Of those that answer, as on the page."""
    scenes = each_scene(view, lens).values()
    able = [scene for scene in scenes if isinstance(scene, Scene)]
    if not able:
        raise BadAddress("None of these models can answer now.")
    return [asked_whole(lens, scene, scene.view.methods[0]) for scene in able]


SOURCES: Mapping[str, Callable[[Lens, View, Wanted], Sequence[Result]]] = {
    "explain": _explained,
    "explore": _explored,
    "compare": _compared,
}
