"""Archives of strangers: whatever is in one is unpacked where we say, or refused in a sentence."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servelens_archives import mar
from servelens_archives.errors import ArchiveError
from servelens_archives.manifests import read_manifest
from servelens_archives.mar import unpack

MANIFEST = {
    "runtime": "python",
    "model": {"modelName": "old", "modelVersion": "1.0", "handler": "image_classifier"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "unpacked").mkdir()
    return tmp_path / "in" / "unpacked"


def packed(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def refusal(archive: Path, folder: Path, **how: Any) -> str:
    """Said in one sentence; nothing lies outside the folder."""
    with pytest.raises(ArchiveError) as refused:
        unpack(archive, folder, **how)
    outside = {path for path in folder.parent.rglob("*") if not path.is_relative_to(folder)}
    assert not outside
    return str(refused.value)


def test_files_are_unpacked_as_they_are(tmp_path: Path, folder: Path) -> None:
    members = [("model.py", b"pass"), ("a/b/c.txt", b"x" * 5_000_000), ("empty", b"")]
    archive = packed(tmp_path / "x.mar", ("a/", b""), *members)
    assert unpack(archive, folder) == [name for name, _ in members]
    for name, content in members:
        assert (folder / name).read_bytes() == content


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../evil.py", "leads out of the archive"),
        ("a/../../evil.py", "leads out of the archive"),
        ("/etc/evil", "leads out of the archive"),
        ("//evil", "leads out of the archive"),
        ("a//b", "leads out of the archive"),
        ("./a", "leads out of the archive"),
        ("..", "leads out of the archive"),
        ("C:/evil", "leads out of the archive"),
        ("..\\evil", "is no plain name"),
        ("a\x1b[2Jb", "has characters that cannot be shown"),
        ("a\nb", "has characters that cannot be shown"),
        ("a" * 300, "is too long a name"),
        ("/".join(["a" * 100] * 11), "is too long a name"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(
    tmp_path: Path, folder: Path, name: str, said: str
) -> None:
    archive = packed(tmp_path / "x.mar", ("fine.py", b"1"), (zipfile.ZipInfo(name), b"evil"))
    message = refusal(archive, folder)
    assert said in message
    assert message.isprintable()
    assert not list(folder.iterdir()), "all names are checked before anything is written"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_what_is_no_file_is_refused(tmp_path: Path, folder: Path, kind: int) -> None:
    link = zipfile.ZipInfo("model.py")
    link.create_system = 3
    link.external_attr = (kind | 0o777) << 16
    message = refusal(packed(tmp_path / "x.mar", (link, b"/etc/passwd")), folder)
    assert "'model.py' is a link or a device, no file" in message


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_is_there_once(tmp_path: Path, folder: Path) -> None:
    archive = packed(tmp_path / "x.mar", ("model.py", b"1"), ("model.py", b"2"))
    assert "has 'model.py' twice" in refusal(archive, folder)
    archive = packed(tmp_path / "y.mar", ("a", b"1"), ("a/b", b"2"))
    assert "has 'a' as a file and as a folder" in refusal(archive, folder)


@pytest.mark.slow
def test_what_unfolds_without_end_is_refused_before_it_does(tmp_path: Path, folder: Path) -> None:
    bomb = packed(tmp_path / "x.mar", *((f"{i}.bin", bytes(2**20)) for i in range(8)))
    message = refusal(bomb, folder, most_bytes=2**22)
    assert "would unfold to 8,388,608 bytes, and 4,194,304 are the most" in message
    assert not list(folder.iterdir())
    many = packed(tmp_path / "y.mar", *((str(i), b"") for i in range(mar.MOST_MEMBERS + 1)))
    assert "20,001 members, more than 20,000" in refusal(many, folder)


def test_a_small_file_has_not_the_whole_disk(tmp_path: Path, folder: Path) -> None:
    archive = packed(tmp_path / "x.mar", ("model.py", b"1"))
    assert mar._room(archive, folder) <= mar.SMALL_BYTES
    large = tmp_path / "large.mar"
    with open(large, "wb") as file:
        file.truncate(2**33)
    free = shutil.disk_usage(folder).free
    assert mar._room(large, folder) == min(mar.MOST_UNFOLDING * 2**33, free - mar.SPARED_BYTES)


def test_a_member_that_lies_about_its_length_is_refused(tmp_path: Path, folder: Path) -> None:
    archive = packed(tmp_path / "x.mar", ("model.py", b"x" * 1000))
    content = bytearray(archive.read_bytes())
    entry = content.index(b"PK\x01\x02")
    struct.pack_into("<L", content, entry + 24, 10)  # in the directory, which readers go by
    archive.write_bytes(content)
    assert "cannot be" in refusal(archive, folder)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda whole: b"",
        lambda whole: b"no zip",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole.replace(b"x" * 40, b"y" * 40),
    ],
)
def test_what_is_no_whole_zip_is_refused(
    tmp_path: Path, folder: Path, spoilt: Callable[[bytes], bytes]
) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model.py", b"x" * 200)
    (tmp_path / "x.mar").write_bytes(spoilt(file.getvalue()))
    assert "x.mar cannot be read as a zip, which a .mar is: " in refusal(tmp_path / "x.mar", folder)


def test_an_encrypted_archive_and_none_at_all_are_refused(tmp_path: Path, folder: Path) -> None:
    archive = packed(tmp_path / "x.mar", ("model.py", b"secret"))
    content = bytearray(archive.read_bytes())
    for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        content[content.index(mark) + offset] |= 1
    archive.write_bytes(content)
    assert "'model.py' is encrypted" in refusal(archive, folder)
    assert "there is no archive" in refusal(tmp_path / "none.mar", folder)
    assert "cannot be unpacked: Is a directory" in refusal(folder, folder)


@pytest.mark.slow
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.text(st.characters(codec="utf-8"), max_size=60).filter(
        lambda name: name.split("\0")[0]
    ),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=8),
)
def test_no_zip_writes_outside_its_folder(
    tmp_path: Path, name: str, flips: list[tuple[int, int]]
) -> None:
    inner = Path(os.path.realpath(tmp_path)) / "one" / "two"
    shutil.rmtree(inner.parent, ignore_errors=True)
    inner.mkdir(parents=True)
    content = bytearray(packed(inner.parent.parent / "x.mar", (name, b"evil" * 20)).read_bytes())
    for place, bits in flips:
        content[place % len(content)] ^= bits
    (inner.parent.parent / "x.mar").write_bytes(content)
    try:
        names = unpack(inner.parent.parent / "x.mar", inner)
    except ArchiveError as refused:
        assert str(refused)
    else:
        assert all((inner / one).resolve().is_relative_to(inner) for one in names)
    assert [path.name for path in inner.parent.iterdir()] == ["two"]
    assert {path.name for path in tmp_path.iterdir()} == {"one", "x.mar"}


def manifest_of(folder: Path, content: bytes | Mapping[str, Any]) -> None:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "MAR-INF").mkdir()
    (folder / "MAR-INF" / "MANIFEST.json").write_bytes(text)


def test_a_manifest_is_read(folder: Path) -> None:
    manifest_of(folder, {**MANIFEST, "theirs": [1]})
    read = read_manifest(folder, [])
    assert (read.name, read.version, read.handler) == ("old", "1.0", "image_classifier")
    assert read.content["theirs"] == [1]


@pytest.mark.parametrize(
    ("handler", "file"),
    [
        ("handler.py", "handler.py"),
        ("handler", "handler.py"),
        ("handler:run", "handler.py"),
        ("handler.py:run", "handler.py"),
        ("a/b/handler.py", "handler.py"),
    ],
)
def test_a_handlers_file_is_named_in_many_ways(folder: Path, handler: str, file: str) -> None:
    manifest_of(folder, {"model": {**MANIFEST["model"], "handler": handler}})  # type: ignore[dict-item]
    assert read_manifest(folder, []).handler_file == file


def model(**keys: Any) -> dict[str, Any]:
    return {"model": {**MANIFEST["model"], **keys}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b'{"model": {}}' + b" " * 2**20, "has more than 1,048,576 bytes"),
        ([1], "must hold an object, not [1]"),
        ({}, "has no object 'model'"),
        ({"model": []}, "has no object 'model'"),
        ({**MANIFEST, "runtime": "LSP"}, "has the runtime 'LSP'; only what runs in python or"),
        ({**MANIFEST, "runtime": ["python"]}, "has the runtime ['python']"),
        (model(modelName="../x"), "has modelName '../x', which is no name"),
        (model(modelName="x" * 101), "which is no name"),
        (model(modelName=None), "must have modelName as text, not None"),
        (model(modelVersion=1.5), "must have modelVersion as text, not 1.5"),
        (model(handler=""), "must have handler as text, not ''"),
        (model(handler={"a": 1}), "must have handler as text, not {'a': 1}"),
        (model(handler="a\x1bb"), "must have handler as text"),
        (model(serializedFile="../../etc/passwd"), "no such file is in the archive"),
        (model(configFile="none.yaml"), "has configFile 'none.yaml', and no such file"),
        (model(modelFile=3), "must have modelFile as text, not 3"),
    ],
)
def test_a_hostile_manifest_is_refused_in_a_sentence(
    folder: Path, content: bytes | Mapping[str, Any], said: str
) -> None:
    manifest_of(folder, content)
    with pytest.raises(ArchiveError) as refused:
        read_manifest(folder, ["model.pt"])
    assert said in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


def test_an_archive_without_a_manifest_is_none(folder: Path) -> None:
    with pytest.raises(ArchiveError, match=r"it has no MAR-INF/MANIFEST.json, so that it is no"):
        read_manifest(folder, [])
