"""An archive that exists, with a lens beside its own handler; and the way back.

All that was in the archive is in the new one, as it was; what is added stands beside it:

instrumented_handler.py, servelens/   what TorchServe starts, which starts the archive's own handler
MAR-INF/MANIFEST.json                 the same but for the handler, with a section of ours
MAR-INF/ORIGINAL-MANIFEST.json        the manifest as it was, byte for byte
capability.json                       what may be asked, where that was looked at
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from servelens.engine.folder.card import CAPABILITY_FILE
from servelens_archives.child import run_job
from servelens_archives.disk import disk_told_of
from servelens_archives.errors import ArchiveError, BuildError
from servelens_archives.manifests import MANIFEST_FILE, Manifest, read_manifest
from servelens_archives.mar import unpack
from servelens_archives.packing import write_archive
from servelens_archives.preflight_child import synthetic_photo
from servelens_archives.staging import HANDLER_FILE, PACKAGE, stage_package

ENTRY = "instrumented_handler.py"
ORIGINAL_MANIFEST = "MAR-INF/ORIGINAL-MANIFEST.json"
SECTION = "servelens"
OURS = (ENTRY, ORIGINAL_MANIFEST, CAPABILITY_FILE)
REHEARSAL = "servelens.torchserve.rehearsal"
REHEARSAL_SECONDS = 900.0
STAGED = "what is in it once"

Report = Callable[[str], None]


@dataclass(frozen=True)
class Change:
    """What the new archive is to be called, and how its model's output is read; None leaves a name
    as it is."""

    name: str | None = None
    version: str | None = None
    activation: str = "softmax"


@disk_told_of(STAGED)
def instrument(
    archive: Path,
    target: Path,
    change: Change,
    *,
    look: bool = True,
    report: Report = lambda text: None,
) -> Path:
    """Writes `target`. With `look` the archive's own code is run, in a process of its own."""
    _check_target(archive, target)
    with TemporaryDirectory(prefix="servelens-instrument-") as private:
        scratch = Path(private)
        report("unpacking the archive")
        folder = scratch / "archive"
        names = _stage(archive, folder, change, report)
        if look:
            report("running the archive's own handler, and its model under the lens")
            for line in _rehearse(folder, scratch):
                report(line)
            # What ran may have written to its folder: only what it was to find out is kept.
            os.replace(folder / CAPABILITY_FILE, scratch / CAPABILITY_FILE)
            shutil.rmtree(folder)
            names = _stage(archive, folder, change)
            os.replace(scratch / CAPABILITY_FILE, folder / CAPABILITY_FILE)
        else:
            report("nothing of it was run: its worker will find out what may be asked")
        write_archive(folder, target, sorted({*names, *_added(folder)}))
    return target


@disk_told_of(STAGED)
def undo(archive: Path, target: Path, *, report: Report = lambda text: None) -> Path:
    """Writes the archive as it was before it was instrumented: the same files, the same bytes."""
    _check_target(archive, target)
    with TemporaryDirectory(prefix="servelens-instrument-") as private:
        folder = Path(private)
        names = unpack(archive, folder)
        if ORIGINAL_MANIFEST not in names or ENTRY not in names:
            raise ArchiveError(f"{archive} was not instrumented: it has no {ORIGINAL_MANIFEST}")
        os.replace(folder / ORIGINAL_MANIFEST, folder / MANIFEST_FILE)
        manifest = read_manifest(folder, names)
        kept = [name for name in names if not _is_ours(name)]
        report(f"{manifest.name} {manifest.version} as it was, {len(kept)} files")
        write_archive(folder, target, kept)
    return target


def _stage(
    archive: Path, folder: Path, change: Change, report: Report = lambda text: None
) -> list[str]:
    """The archive in `folder`, and what is added to it; the names that it had."""
    folder.mkdir()
    names = unpack(archive, folder)
    manifest = read_manifest(folder, names)
    _check_is_foreign(archive, names)
    report(f"{manifest.name} {manifest.version}, handled by {_handler(manifest, names)}")
    stage_package(folder, ENTRY)
    shutil.copyfile(folder / MANIFEST_FILE, folder / ORIGINAL_MANIFEST)
    _write_manifest(folder, manifest, change)
    return names


def _check_target(archive: Path, target: Path) -> None:
    if target.exists():
        raise ArchiveError(f"{target} exists already; give --out a name that is not taken")
    if not target.parent.is_dir():
        raise ArchiveError(f"{target.parent} is no folder; make it, or give --out another")


def _check_is_foreign(archive: Path, names: Sequence[str]) -> None:
    """Nothing of ours may be there, so that taking out what is ours gives back the rest."""
    if ENTRY in names and ORIGINAL_MANIFEST in names:
        raise ArchiveError(
            f"{archive} is instrumented already; for the newest lens take the archive as it was, "
            f"which servelens instrument --undo {archive} gives back"
        )
    if HANDLER_FILE in names and f"{PACKAGE.name}/__init__.py" in names:
        raise ArchiveError(
            f"{archive} was built by ServeLens and answers lens requests as it is; build it anew "
            "from its recipe for the newest lens"
        )
    taken = [name for name in names if _is_ours(name) or name == PACKAGE.name]
    if taken:
        raise ArchiveError(
            f"{archive} has a file {taken[0]!r}, a name that the lens takes for itself"
        )


def _is_ours(name: str) -> bool:
    return name in OURS or name.startswith(f"{PACKAGE.name}/")


def _handler(manifest: Manifest, names: Sequence[str]) -> str:
    own = manifest.handler_file
    return own if own in names else f"TorchServe's own {manifest.handler}"


def _write_manifest(folder: Path, manifest: Manifest, change: Change) -> None:
    model: dict[str, Any] = {**manifest.content["model"], "handler": ENTRY}
    if change.name is not None:
        model["modelName"] = change.name
    if change.version is not None:
        model["modelVersion"] = change.version
    content = {
        **manifest.content,
        "model": model,
        SECTION: {"handler": manifest.handler, "activation": change.activation},
    }
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def _rehearse(folder: Path, private: Path) -> list[str]:
    """What was seen, in lines for a person; the capability document is then in the folder."""
    photo, report = private / "photo.png", private / "report.json"
    photo.write_bytes(synthetic_photo())
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(private),
    }
    arguments = ["-m", REHEARSAL, str(folder), str(photo), str(report)]
    try:
        seen = run_job(arguments, report, environment=environment, seconds=REHEARSAL_SECONDS)
    except BuildError as error:
        raise ArchiveError(
            f"{error}. No archive was written. Where this machine lacks what the archive needs, "
            "--no-look writes one all the same, whose worker finds out what may be asked"
        ) from None
    return _told(seen)


def _told(seen: Mapping[str, Any]) -> list[str]:
    refused: Mapping[str, str] = seen["refused"]
    height, width = seen["size"]
    lines = [
        f"{seen['architecture']}: {seen['parameters']:,} parameters, {seen['layers']} layers, "
        f"default layer {seen['default_layer']}, {seen['classes']} classes; photos as "
        f"{height} x {width}",
        "maps are placed in the photo"
        if seen["places"]
        else "maps lie over the model's input: where in the photo that is could not be measured",
        f"{len(seen['supported'])} of {len(seen['supported']) + len(refused)} methods can be had",
    ]
    reasons: dict[str, list[str]] = {}
    for name, reason in refused.items():
        reasons.setdefault(reason.replace(name, "it"), []).append(name)
    lines += [f"not {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return [*lines, *seen["warnings"]]


def _added(folder: Path) -> list[str]:
    """Of what was staged: what the archive has more than before."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in files)
    return [name for name in names if _is_ours(name)]
