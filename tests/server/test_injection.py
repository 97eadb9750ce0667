"""Line breaks where headers are made: in names and types of a form's parts, and in headers.

TorchServe's worker dies of a header with a line break in it, fact 8, and a browser would take one
that a stranger wrote for the server's own.
"""

from __future__ import annotations

import functools
import json

import pytest
from by_hand import Told, post
from lens_caller import Lens, raw
from lens_pictures import photo

PHOTO = photo(0)
EVIL = b"Set-Cookie: evil=1"
END = b"--edge--\r\n"
FORM = b"Content-Type: multipart/form-data; boundary=edge"


def part(disposition: bytes, content: bytes, *lines: bytes) -> bytes:
    head = [b"--edge", b"Content-Disposition: form-data; " + disposition, *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + content + b"\r\n"


IMAGE = part(b'name="data"; filename="a.png"', PHOTO, b"Content-Type: image/png")
DOCUMENT = "a document"
# Of what TorchServe reads as a name, a line feed is its end, and a return is a space.
PARTS = {
    "a name": (part(b'name="id\r\n' + EVIL + b'"', b"1"), DOCUMENT),
    "a name with a line feed": (part(b'name="id\n' + EVIL + b'"', b"1"), DOCUMENT),
    "a name with a return": (part(b'name="id\r' + EVIL + b'"', b"1"), "unknown_key"),
    "a name that is escaped": (part(b'name="id%0d%0a' + EVIL + b'"', b"1"), "unknown_key"),
    "a name with a null": (part(b'name="id\0' + EVIL + b'"', b"1"), "unknown_key"),
    "a file's name": (part(b'name="mask"; filename="a\r\n' + EVIL + b'"', PHOTO), DOCUMENT),
    "a file's name that is encoded": (
        part(
            b"name=\"mask\"; filename*=UTF-8''a%0d%0a" + EVIL.replace(b" ", b"%20"),
            PHOTO,
        ),
        DOCUMENT,
    ),
    "a type": (
        part(b'name="target"', b"1", b"Content-Type: text/plain\r\n" + EVIL),
        DOCUMENT,
    ),
    "a type with a return": (
        part(b'name="target"', b"1", b"Content-Type: text/plain\r" + EVIL),
        DOCUMENT,
    ),
    "a value": (part(b'name="id"', b"1\r\n" + EVIL + b"\r\n\r\n"), DOCUMENT),
    "a value that is a key": (
        part(b'name="explain"', b"saliency\r\n" + EVIL),
        "unknown_method",
    ),
}
HEADERS = {
    "a line feed": (b"X-Id: 1\n" + EVIL, 200),
    "a return": (b"X-Id: 1\r" + EVIL, 400),
    "a null": (b"X-Id: 1\0" + EVIL, 400),
    "escaped": (b"X-Id: 1%0d%0a" + EVIL, 200),
    "folded": (b"X-Id: 1\r\n " + EVIL, 200),
    "in a name": (b"X-Id\r" + EVIL + b": 1", 400),
    "in what is accepted": (b"Accept: application/json\r" + EVIL, 400),
    "in an id": (b"X-Request-Id: 1\r" + EVIL, 400),
    "two lengths": (b"Content-Length: 5", 400),
}


def beside_a_neighbour(lens: Lens, lines: list[bytes], body: bytes) -> Told:
    """In one batch where it comes that far; the neighbour is answered as if it were alone."""
    expected = pytest.approx(lens.bare(PHOTO), abs=1e-5)
    told, neighbour = lens.meet(
        "rows",
        functools.partial(post, lens, "/predictions/rows", lines, body),
        lambda: lens.ask(raw(PHOTO), "rows"),
    )
    assert neighbour.json() == expected
    assert "Set-Cookie" not in told.headers
    return told


@pytest.mark.parametrize("where", PARTS)
def test_no_part_of_a_form_becomes_a_header(lens: Lens, where: str) -> None:
    sent, wanted = PARTS[where]
    told = beside_a_neighbour(lens, [FORM], IMAGE + sent + END)
    found = json.loads(told.content)
    if wanted == DOCUMENT:
        assert told.status == 200
        lens.check("document", found)
    else:
        assert (told.status, found["type"]) == (400, wanted)
        lens.check("problem", found)


def test_a_part_of_no_type_that_there_is_is_refused_by_the_front_end(lens: Lens) -> None:
    kind = b'Content-Type: text/plain; charset="a\\\r\n ' + EVIL + b'"'
    told = beside_a_neighbour(lens, [FORM], IMAGE + part(b'name="target"', b"1", kind) + END)
    assert (told.status, json.loads(told.content)["type"]) == (403, "IllegalCharsetNameException")


@pytest.mark.parametrize("where", HEADERS)
def test_no_header_brings_another_along(lens: Lens, where: str) -> None:
    line, status = HEADERS[where]
    told = beside_a_neighbour(lens, [line], PHOTO)
    assert told.status == status
    found = json.loads(told.content)
    if status == 200:
        assert found == pytest.approx(lens.bare(PHOTO), abs=1e-5)
    else:
        assert found["message"] == "Invalid HTTP message."
