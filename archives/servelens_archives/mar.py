"""An archive that exists, unpacked into a folder of ours; nothing in it is trusted, or run.

A .mar is a zip, whose names may lead out of the folder and whose members may be links, or unfold to
more than any disk holds. What no archiver for TorchServe writes is refused, with its name.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from servelens.protocol import shorten
from servelens_archives.errors import ArchiveError

MOST_MEMBERS = 20_000
LONGEST_NAME = 1000
LONGEST_PART = 255
COPY_BYTES = 1 << 20
# Weights hardly shrink: what unfolds to far more than it is, and to much, is no model.
MOST_UNFOLDING = 50
SMALL_BYTES = 2**30
# Of the disk, for what else is written there.
SPARED_BYTES = 2**28
ENCRYPTED = 0x1


def unpack(archive: Path, folder: Path, most_bytes: int | None = None) -> list[str]:
    """The names of its files, in its own order; raises ArchiveError."""
    try:
        with zipfile.ZipFile(archive) as opened:
            files = _files(archive, opened.infolist(), most_bytes or _room(archive, folder))
            for member, name in files:
                _write(opened, member, folder / name)
    except ArchiveError:
        raise
    except FileNotFoundError:
        raise ArchiveError(f"there is no archive {archive}") from None
    except OSError as error:
        raise ArchiveError(f"{archive} cannot be unpacked: {error.strerror or error}") from None
    except Exception as error:  # a hostile file can raise anything at all from a decoder
        raise ArchiveError(
            f"{archive} cannot be read as a zip, which a .mar is: {shorten(str(error))}. What is a "
            "folder or a .tar.gz, torch-model-archiver packs anew without --archive-format"
        ) from None
    return [name for _, name in files]


def _room(archive: Path, folder: Path) -> int:
    unfolded = max(SMALL_BYTES, MOST_UNFOLDING * archive.stat().st_size)
    return min(unfolded, shutil.disk_usage(folder).free - SPARED_BYTES)


def _files(
    archive: Path, members: Sequence[zipfile.ZipInfo], most_bytes: int
) -> list[tuple[zipfile.ZipInfo, str]]:
    """Its members but for folders, all of them checked before any is written."""
    if len(members) > MOST_MEMBERS:
        raise ArchiveError(f"{archive} has {len(members):,} members, more than {MOST_MEMBERS:,}")
    size = sum(member.file_size for member in members)
    if size > most_bytes:
        raise ArchiveError(
            f"{archive} would unfold to {size:,} bytes, and {most_bytes:,} are the most that is "
            "unpacked of a file of its size on this disk"
        )
    found: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        why = _why_not(member)
        if why:
            raise ArchiveError(f"{archive} is not unpacked: {shorten(member.filename)} {why}")
        if member.is_dir():
            continue
        if member.filename in found:
            raise ArchiveError(f"{archive} has {shorten(member.filename)} twice")
        found[member.filename] = member
    _check_folders(archive, found)
    return [(member, name) for name, member in found.items()]


def _why_not(member: zipfile.ZipInfo) -> str | None:
    """What is wrong with a member; None where nothing is."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    parts = (
        member.filename.rstrip("/").split("/") if member.is_dir() else member.filename.split("/")
    )
    # zipfile turns what the system takes for a separator into a slash, and cuts at a NUL.
    checks: Sequence[tuple[Callable[[], bool], str]] = (
        (lambda: bool(member.flag_bits & ENCRYPTED), "is encrypted"),
        (lambda: kind not in (0, stat.S_IFREG, stat.S_IFDIR), "is a link or a device, no file"),
        (lambda: "\\" in member.orig_filename or "\0" in member.orig_filename, "is no plain name"),
        (lambda: not member.filename.isprintable(), "has characters that cannot be shown"),
        (lambda: any(part in ("", ".", "..") for part in parts), "leads out of the archive"),
        (lambda: ":" in parts[0], "leads out of the archive"),
        (lambda: len(member.filename) > LONGEST_NAME, "is too long a name"),
        (lambda: any(len(part.encode()) > LONGEST_PART for part in parts), "is too long a name"),
    )
    return next((words for is_so, words in checks if is_so()), None)


def _check_folders(archive: Path, names: dict[str, zipfile.ZipInfo]) -> None:
    for name in names:
        for folder in Path(name).parents:
            if folder.as_posix() in names:
                raise ArchiveError(
                    f"{archive} has {shorten(folder.as_posix())} as a file and as a folder"
                )


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """No more than the member says it has, whatever comes out of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with opened.open(member) as source, open(target, "xb") as sink:
        while chunk := source.read(min(COPY_BYTES, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{shorten(member.filename)} is longer than it says")
            sink.write(chunk)
