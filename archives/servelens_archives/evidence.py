"""Chooses an archive's default method by evidence: its own model, and photos of what it is to see.

The trust cards are those that the archive itself would give a caller, made where its worker would
make them; `choosing` decides by them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from servelens.engine.folder.card import CAPABILITY_FILE, Card
from servelens.engine.kit import Method
from servelens.engine.methods import METHODS
from servelens_archives.child import run_job
from servelens_archives.choosing import choose
from servelens_archives.errors import BuildError
from servelens_archives.examples import Examples
from servelens_archives.preflight import CHILD, as_worker

Report = Callable[[str], None]

WEIGHING_SECONDS = 3600.0
ONE_PASS_BACK = (0, 1)


def weigh(folder: Path, card: Card, examples: Examples, scratch: Path, report: Report) -> None:
    """Writes the evidence into the card and the capability document of the flown folder, and with
    it the choice, where the recipe made none."""
    capability = json.loads((folder / CAPABILITY_FILE).read_text(encoding="utf-8"))
    report(f"weighing methods on {examples.words()}")
    methods = candidates(capability)
    choice = choose(_cards(folder, methods, examples, scratch, report) if methods else {})
    plan, stays = card.lens.default_plan, ""
    if plan:
        stays = "the recipe names its default plan, which stays; by the photos "
    elif choice.chosen is not None:
        plan = (choice.chosen,)
    else:
        stays = "the usual default plan stays, for "
    evidence = {**choice.as_evidence(examples), "why": stays + choice.why}
    report(f"default method: {evidence['why']}")
    replace(card, lens=replace(card.lens, default_plan=plan, evidence=evidence)).save(folder)
    capability["default_plan"] = list(plan) or capability["default_plan"]
    capability["default_plan_evidence"] = evidence
    (folder / CAPABILITY_FILE).write_text(json.dumps(capability), encoding="utf-8")


def candidates(capability: Mapping[str, Any]) -> list[str]:
    """All that share the request's pass forward and take one back: whoever asks for no method by
    name pays for this one, each time."""
    supported = [entry["name"] for entry in capability["methods"] if entry["supported"]]
    return [name for name in supported if _takes_one_pass_back(METHODS[name])]


def _takes_one_pass_back(method: Method) -> bool:
    """Without one, a method knows nothing of the class."""
    return method.is_shared and method.passes({}, (), None) == ONE_PASS_BACK


def _cards(
    folder: Path, methods: list[str], examples: Examples, scratch: Path, report: Report
) -> Mapping[str, list[Mapping[str, float]]]:
    asked, found = scratch / "weighing-asked.json", scratch / "weighing.json"
    used = [asdict(example) for example in examples.used]
    asked.write_text(json.dumps({"methods": methods, "examples": used}, default=str))
    try:
        cards: Mapping[str, list[Mapping[str, float]]] = run_job(
            [str(CHILD), str(folder), str(found), str(asked)],
            found,
            environment=as_worker(folder, scratch),
            seconds=WEIGHING_SECONDS,
            tell=report,
        )
    except BuildError as error:
        raise BuildError(f"the default method could not be chosen by photos: {error}") from None
    return cards
