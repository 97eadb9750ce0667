"""From a recipe to a .mar: stage, equip, fly, pack; and nothing is left behind when one fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from servelens_archives.disk import disk_told_of
from servelens_archives.errors import BuildError
from servelens_archives.evidence import weigh
from servelens_archives.examples import find_examples
from servelens_archives.packing import add_manifest, write_archive
from servelens_archives.preflight import fly
from servelens_archives.recipe import Recipe
from servelens_archives.staging import stage_code, stage_config, stage_provenance
from servelens_archives.weights import equip

Report = Callable[[str], None]


def build(
    recipe: Recipe,
    out_dir: Path,
    *,
    weights: str | None = None,
    seed: int = 0,
    variant: str | None = None,
    report: Report = lambda text: None,
) -> Path:
    """The path of the archive that was written.

    `weights` goes before the recipe's own: "default", "none" or a path. `seed` is for "none".
    `report` is told what is being done and what was seen.
    """
    if variant is not None:
        recipe = recipe.as_variant(variant)
    examples = find_examples(recipe.images) if recipe.images is not None else None
    target = _output_folder(out_dir) / f"{recipe.card.name}.mar"
    with (
        disk_told_of("the weights twice"),
        TemporaryDirectory(prefix="servelens-build-") as private,
    ):
        scratch = Path(private)
        stage = scratch / "stage"
        stage.mkdir()
        report("copying the code")
        stage_code(stage, recipe)
        stage_config(stage, recipe.serve)
        report("preparing the weights")
        card, origin = equip(stage, recipe.card, weights or recipe.weights, seed)
        card.save(stage)
        stage_provenance(stage, origin, variant)
        report("running the model as its worker will")
        folder = add_manifest(stage, card, scratch)
        flight = fly(folder, scratch / "preflight.json")
        report(flight.summary())
        if examples is not None:
            weigh(folder, card, examples, scratch, report)
            flight = fly(folder, scratch / "preflight-again.json")
        for warning in (*recipe.serve.warnings(), *origin.warnings(), *flight.warnings):
            report(warning)
        write_archive(folder, target)
        report(f"{target.stat().st_size / 2**20:.1f} MiB")
    return target


def _output_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"{path} cannot be the folder of archives: {error.strerror}") from None
    return path
