"""Line breaks where headers are made: in names and types of a form's parts, and in headers.

TorchServe's worker dies of a header with a line break in it, fact 8, and a browser would take one
that a stranger wrote for the server's own.
"""

from __future__ import annotations

import functools

import pytest
from by_hand import Told, post
from lens_caller import Lens, raw
from lens_pictures import photo

PHOTO = photo(0)
EVIL = b"Set-Cookie: evil=1"
FORM = b"Content-Type: multipart/form-data; boundary=edge"


def part(disposition: bytes, content: bytes, *lines: bytes) -> bytes:
    head = [b"--edge", b"Content-Disposition: form-data; " + disposition, *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + content + b"\r\n"


IMAGE = part(b'name="data"; filename="a.png"', PHOTO, b"Content-Type: image/png")
PARTS = {
    "a name": part(b'name="id\r\n' + EVIL + b'"', b"1"),
    "a name with a line feed": part(b'name="id\n' + EVIL + b'"', b"1"),
    "a name with a return": part(b'name="id\r' + EVIL + b'"', b"1"),
    "a name that is escaped": part(b'name="id%0d%0a' + EVIL + b'"', b"1"),
    "a name with a null": part(b'name="id\0' + EVIL + b'"', b"1"),
    "a file's name": part(b'name="mask"; filename="a\r\n' + EVIL + b'"', PHOTO),
    "a file's name that is encoded": part(
        b"name=\"mask\"; filename*=UTF-8''a%0d%0a" + EVIL.replace(b" ", b"%20"), PHOTO
    ),
    "a type": part(b'name="target"', b"1", b"Content-Type: text/plain\r\n" + EVIL),
    "a type with a return": part(b'name="target"', b"1", b"Content-Type: text/plain\r" + EVIL),
    "a type that is quoted": part(
        b'name="target"', b"1", b'Content-Type: text/plain; charset="a\\\r\n ' + EVIL + b'"'
    ),
    "a value": part(b'name="id"', b"1\r\n" + EVIL + b"\r\n\r\n"),
    "a value that is a key": part(b'name="explain"', b"saliency\r\n" + EVIL),
}
HEADERS = {
    "a line feed": b"X-Id: 1\n" + EVIL,
    "a return": b"X-Id: 1\r" + EVIL,
    "a null": b"X-Id: 1\0" + EVIL,
    "escaped": b"X-Id: 1%0d%0a" + EVIL,
    "folded": b"X-Id: 1\r\n " + EVIL,
    "in a name": b"X-Id\r" + EVIL + b": 1",
    "in what is accepted": b"Accept: application/json\r" + EVIL,
    "in an id": b"X-Request-Id: 1\r" + EVIL,
    "two lengths": b"Content-Length: 5",
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
    assert told.rest == b""
    return told


@pytest.mark.parametrize("where", PARTS)
def test_no_part_of_a_form_becomes_a_header(lens: Lens, where: str) -> None:
    told = beside_a_neighbour(lens, [FORM], IMAGE + PARTS[where] + b"--edge--\r\n")
    print(where, told.status, told.content[:300])


@pytest.mark.parametrize("where", HEADERS)
def test_no_header_brings_another_along(lens: Lens, where: str) -> None:
    told = beside_a_neighbour(lens, [HEADERS[where]], PHOTO)
    print(where, told.status, told.content[:300])
