"""Where files of what a page shows are fetched: its answers, from the cache if they are there; and
the calls that they are the answers to, as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, Response

from servelens.client import Result
from servelens.client.saving import FORMATS
from servelens.protocol import shorten, to_wire
from servelens_dashboard import questions
from servelens_dashboard.desk import Desk
from servelens_dashboard.exports import CALLS, CARD, FILES, KINDS, file_name
from servelens_dashboard.lens import Lens
from servelens_dashboard.parts import asked_whole
from servelens_dashboard.scene import Scene, each_scene, explain_request, set_scene, trust_request
from servelens_dashboard.snippets import SNIPPETS
from servelens_dashboard.troubles import EXPECTED, tell, unexpected
from servelens_dashboard.url_state import ON, BadAddress, View, parse, parse_entry


@dataclass(frozen=True)
class Wanted:
    """What of a page, and whether with the trust card of its map."""

    part: str
    with_card: bool = False


def open_doors(http: FastAPI, desk: Desk) -> None:
    async def answered(make: Callable[[], Response]) -> Response:
        try:
            return await desk.run(make)
        except EXPECTED as error:
            return PlainTextResponse(tell(error).what, 400)
        except Exception as error:
            return PlainTextResponse(unexpected(error).what, 500)

    @http.get(f"{FILES}/{{kind}}/{{page}}")
    async def give(kind: str, page: str, request: Request) -> Response:
        part = request.query_params.get("part", "")
        with_card = request.query_params.get(CARD) == ON

        def make() -> Response:
            view = parse(page, request.url.query)
            body = _file(desk.lens, kind, view, Wanted(part, with_card))
            named = f'attachment; filename="{file_name(view, part)}.{kind}"'
            return Response(body, 200, {"Content-Disposition": named}, KINDS[kind].media_type)

        return await answered(make)

    @http.get(f"{CALLS}/{{kind}}/{{page}}")
    async def tell_call(kind: str, page: str, request: Request) -> Response:
        part, here = request.query_params.get("part", ""), str(request.base_url)

        def make() -> Response:
            view = parse(page, request.url.query)
            return PlainTextResponse(_call(desk, kind, view, part, here))

        return await answered(make)


def _call(desk: Desk, kind: str, view: View, part: str, dashboard: str) -> str:
    if kind not in SNIPPETS:
        raise BadAddress(f"No call is told as {shorten(kind)}; there are {', '.join(SNIPPETS)}.")
    if view.page not in REQUESTS:
        raise BadAddress(f"The page {view.page} makes no call to be told.")
    scene, request = REQUESTS[view.page](desk.lens, view, part)
    photo = scene.view.photo or ""
    return SNIPPETS[kind].of(desk.settings, dashboard, scene.view.models[0], photo, request)


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

Told = tuple[Scene, Mapping[str, Any]]


def _explain_call(lens: Lens, view: View, part: str) -> Told:
    scene = set_scene(view, lens)
    return scene, explain_request(scene, parse_entry(part))


def _explore_call(lens: Lens, view: View, part: str) -> Told:
    """What is asked for a part may rest on other answers, which the page has had."""
    (result,) = _explored(lens, view, Wanted(part))
    return set_scene(view, lens), to_wire(result.origin.asked) if result.origin else {}


def _compare_call(lens: Lens, view: View, _: str) -> Told:
    """Of the one model that a panel is of."""
    scene = set_scene(view, lens)
    return scene, explain_request(scene, scene.view.methods[0])


REQUESTS: Mapping[str, Callable[[Lens, View, str], Told]] = {
    "explain": _explain_call,
    "explore": _explore_call,
    "compare": _compare_call,
}
