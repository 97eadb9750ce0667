"""From a TorchServe row and its headers to what is asked, row by row.

TorchServe batches predictions, explanations and descriptions together, and its stock handlers let
row 0 decide for all. Here each row is read alone, and what is wrong with it becomes its own
Problem. A row comes in one of three shapes: the bare image, a form, or a JSON object.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

from servelens.codec import JSON_TYPE, NPZ_TYPE
from servelens.protocol import (
    FILE_KEYS,
    IMAGE_FIELDS,
    Problem,
    ProblemError,
    Request,
    check_extent,
    place,
    problem,
    read_form_value,
    read_json,
    read_request,
    shorten,
)
from servelens.torchserve.images import HOW_TO_SEND, looks_like_image, read_image

# KServe's names for an image beside ours.
INSTANCE_IMAGE_FIELDS = (*IMAGE_FIELDS, "b64", "image_bytes")
MOST_INSTANCES = 64
# What a list of answers is called: predicted, and explained.
LISTED = ("predictions", "explanations")

Headers = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """What is asked of one image: the stock answer ("bare"), a "lens" document, or "describe"."""

    kind: str
    request: Request


@dataclass(frozen=True)
class RowQuestion:
    """One row: a single part, or, `listed` under a name, one for each KServe instance."""

    parts: Tuple[Union[Question, Problem], ...]
    listed: Optional[str] = None

    def placed(self, part: int, found: Problem) -> Problem:
        """A problem that was found in a part's request, as its caller would look for it."""
        return found if self.listed is None else _within(f"instances[{part}]", found)

    @property
    def streamed(self) -> Optional[Request]:
        """The request that is answered as a stream, where it is one."""
        part = self.parts[0] if self.parts and self.listed is None else None
        if isinstance(part, Question) and part.kind == "lens" and part.request.stream:
            return part.request
        return None


@dataclass(frozen=True)
class Door:
    """How the row came in: by /explanations, with `Accept: application/x-npz`, fit for frames."""

    explains: bool
    takes_npz: bool
    takes_frames: bool

    @classmethod
    def of(cls, headers: Headers) -> Door:
        """The front end itself writes `explain`; clients spell theirs as they like.

        TorchServe does not say which gRPC call a row is, and a second message to a unary one
        leaves the worker hanging for good.
        """
        accepted = ",".join(
            value
            for name, value in headers.items()
            if name.lower() == "accept" and isinstance(value, str)
        )
        kinds = [kind.split(";")[0].strip().lower() for kind in accepted.split(",")]
        return cls(
            explains=headers.get("explain") == "True",
            takes_npz=NPZ_TYPE in kinds,
            takes_frames=not is_grpc(headers),
        )

    def of_instance(self) -> Door:
        """Many answers share one JSON body."""
        return replace(self, takes_npz=False, takes_frames=False)


def read_row(row: Any, headers: Headers) -> RowQuestion:
    """What the row asks; whatever is wrong with it is a Problem in its part."""
    door = Door.of(headers)
    try:
        if row == {} and headers.get("describe") == "True":
            # GET /models/m?customized=true on the management port sends no fields at all.
            return RowQuestion((Question("describe", Request(describe=True)),))
        check_extent(row)  # TorchServe has parsed what says that it is JSON
        if not isinstance(row, Mapping):
            row = {"body": row}
        name, body = lone_body(row)
        if name is None:
            return RowQuestion((_read_form(row, door),))
        if isinstance(body, (bytes, bytearray, str)) and is_json(body[:64], headers.get(name)):
            body = _parse(body)
        if isinstance(body, (bytes, bytearray, str)):
            return RowQuestion((_question({}, read_image(body, "image"), door),))
        return _read_json_body(body, door)
    except ProblemError as error:
        return RowQuestion((error.problem,))


def is_grpc(headers: Headers) -> bool:
    """gRPC hands on no header of a request, only the empty content types of its fields."""
    return not any(isinstance(value, str) for value in headers.values())


def lone_body(row: Mapping[str, Any]) -> Tuple[Optional[str], Any]:
    """The one value of a row that is nothing else; JSON bodies come so too."""
    if len(row) == 1:
        ((name, value),) = row.items()
        if name in IMAGE_FIELDS:
            return name, value
    return None, None


def is_json(start: Union[bytes, bytearray, str], typed: Any) -> bool:
    """Whether a body is JSON that TorchServe left alone: untyped, broken or nested too deeply."""
    if start.lstrip()[:1] in (b"{", b"[", "{", "["):
        return True
    declared = isinstance(typed, Mapping) and typed.get("content-type") == JSON_TYPE
    return declared and isinstance(start, (bytes, bytearray)) and not looks_like_image(start)


def _parse(body: Union[bytes, bytearray, str]) -> Any:
    try:
        return read_json(body if isinstance(body, str) else bytes(body))
    except ValueError as error:
        raise problem("bad_json", f"the JSON body cannot be read: {error}") from None


def _read_json_body(body: Any, door: Door) -> RowQuestion:
    if not isinstance(body, dict):
        raise problem(
            "bad_json",
            f"a JSON body must be an object, not {shorten(body)}",
            hint='for instance {"image": "<base64>", "explain": true}',
        )
    if "instances" in body:
        return _read_instances(body, door)
    return RowQuestion((_read_keys(body, IMAGE_FIELDS, door),))


def _read_instances(body: Dict[str, Any], door: Door) -> RowQuestion:
    """KServe's v1 body; keys beside `instances` hold for each of them."""
    shared = {name: value for name, value in body.items() if name != "instances"}
    instances = body["instances"]
    if not isinstance(instances, list) or len(instances) > MOST_INSTANCES:
        count = f"{len(instances)} items" if isinstance(instances, list) else shorten(instances)
        raise problem(
            "bad_value",
            f"instances must be a list of at most {MOST_INSTANCES} objects, not {count}",
            where="instances",
        )
    check_extent(shared, "what stands beside instances, read for each of them,", len(instances))
    parts = tuple(
        _read_instance(shared, instance, f"instances[{i}]", door)
        for i, instance in enumerate(instances)
    )
    return RowQuestion(parts, LISTED[door.explains])


def _read_instance(
    shared: Dict[str, Any], instance: Any, where: str, door: Door
) -> Union[Question, Problem]:
    try:
        if not isinstance(instance, dict):
            raise problem("bad_value", f"{where} must be an object, not {shorten(instance)}")
        part = _read_keys({**shared, **instance}, INSTANCE_IMAGE_FIELDS, door.of_instance())
        if part.request.format == "npz":
            raise problem("bad_value", "a KServe answer is JSON and cannot be npz", where="format")
        return part
    except ProblemError as error:
        return _within(where, error.problem)


def _within(where: str, found: Problem) -> Problem:
    return found.at(f"{where}.{found.where}" if found.where else where)


def _read_form(row: Mapping[str, Any], door: Door) -> Question:
    texts = {name: _text_of(name, value) for name, value in row.items()}
    check_extent(texts)  # before any of them is read as JSON
    values = {
        name: read_form_value(name, text)
        if isinstance(text, str) and name not in IMAGE_FIELDS
        else text
        for name, text in texts.items()
    }
    return _read_keys(values, IMAGE_FIELDS, door)


def _text_of(name: str, value: Any) -> Any:
    """The field in characters, where it is no picture and TorchServe has left it as bytes: a part
    that its sender typed as JSON is parsed already; base64 is ASCII, and no PNG is."""
    if name.lstrip()[:1] == "{":
        raise problem(
            "bad_json",
            "a JSON body arrived as a form",
            hint="say what it is: curl -H 'Content-Type: application/json'",
        )
    if name in IMAGE_FIELDS or not isinstance(value, (bytes, bytearray)):
        return value
    if name in FILE_KEYS and not value.isascii():
        return bytes(value)
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        where = place(name)
        raise problem("bad_value", f"{where} is not UTF-8 text", where=where) from None


def _read_keys(values: Mapping[str, Any], image_fields: Sequence[str], door: Door) -> Question:
    given = [name for name in image_fields if name in values]
    if len(given) > 1:
        raise problem(
            "bad_value",
            f"the image is given as {' and as '.join(given)}; give it once",
            where=given[1],
        )
    image = read_image(values[given[0]], given[0]) if given else None
    return _question({k: v for k, v in values.items() if k not in given}, image, door)


def _question(values: Mapping[str, Any], image: Optional[bytes], door: Door) -> Question:
    request = read_request(values, image, explain_by_default=door.explains)
    if request.describe:
        return Question("describe", request)
    if image is None and request.needs_image:
        raise problem("no_image", "the request has no image", hint=HOW_TO_SEND, where="image")
    if not values and not door.explains:
        return Question("bare", request)
    if request.stream and not door.takes_frames:
        raise problem(
            "bad_value",
            "a stream needs an HTTP request of its own: gRPC and KServe answers come in one piece",
            hint="send the same keys to /predictions over HTTP, or leave stream out",
            where="stream",
        )
    if door.takes_npz and values.get("format") is None and not request.stream:
        request = replace(request, format="npz")
    return Question("lens", request)
