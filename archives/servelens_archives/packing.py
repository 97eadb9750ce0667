"""From a staged folder to one .mar file, the same bytes for the same content.

torch-model-archiver writes the manifest; its zip would carry the time of day, so we zip ourselves.
It deletes `$TMPDIR/<model name>` before it begins, and is therefore given a TMPDIR of its own.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from servelens.engine.folder.card import Card
from servelens.engine.folder.digest import archive_files
from servelens_archives.errors import BuildError
from servelens_archives.manifests import MANIFEST_FILE
from servelens_archives.staging import CONFIG_FILE, HANDLER_FILE

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
MANIFEST_EPOCH = "01/01/1980 00:00:00"
COPY_BYTES = 1 << 20


def add_manifest(stage: Path, card: Card, scratch: Path) -> Path:
    """The folder as TorchServe will unpack it: what was staged, and the archiver's manifest."""
    private, export = scratch / "tmp", scratch / "export"
    private.mkdir()
    export.mkdir()
    # Relative names, because the archiver splits paths at commas and expands brackets in them.
    arguments = {
        "--model-name": card.name,
        "--version": card.version,
        "--handler": f"{stage.name}/{HANDLER_FILE}",
        "--config-file": f"{stage.name}/{CONFIG_FILE}",
        "--extra-files": stage.name,
        "--export-path": export.name,
        "--archive-format": "no-archive",
    }
    ended = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "model_archiver.model_packaging"),
            *(part for pair in arguments.items() for part in pair),
        ],
        cwd=scratch,
        env={**os.environ, "TMPDIR": str(private)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    folder = export / card.name
    if ended.returncode != 0 or not folder.is_dir():
        said = (ended.stderr.strip() or "nothing").splitlines()[-1]
        raise BuildError(f"torch-model-archiver failed; the last it said: {said}")
    _take_out_the_time(folder / MANIFEST_FILE)
    return folder


def write_archive(folder: Path, target: Path, names: Sequence[str] | None = None) -> None:
    """Of these files of the folder, else of all that make up an archive of ours. All or nothing:
    the archive appears under its name when it is whole.

    Members are stored, not deflated. Float weights shrink by 8 % only, for which ResNet-18 took
    2.4 s to zip instead of 0.04 and ten times as long to unpack, at each registration. Nor does a
    stored member depend on the version of zlib.
    """
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with zipfile.ZipFile(part, "x", zipfile.ZIP_STORED) as archive:
            for name in archive_files(folder) if names is None else names:
                _add(archive, folder / name, name)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    member = zipfile.ZipInfo(name, ZIP_EPOCH)
    member.create_system = 3  # Unix, wherever it is built
    member.external_attr = 0o644 << 16
    member.file_size = path.stat().st_size
    with open(path, "rb") as source, archive.open(member, "w") as sink:
        while chunk := source.read(COPY_BYTES):
            sink.write(chunk)


def _take_out_the_time(manifest: Path) -> None:
    content = json.loads(manifest.read_text(encoding="utf-8"))
    content["createdOn"] = MANIFEST_EPOCH
    manifest.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
