"""A recipe: the TOML file that says how a model becomes an archive, read and checked.

What the worker needs of it is a `Card` (model.json in the archive); what only the build and the
server need stands beside it in `Recipe`. All that is wrong is told at once, not one thing a run.
"""

from __future__ import annotations

import dataclasses
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servelens.engine.folder.card import Card, InputSpec, LensSpec, ModelSource, OutputSpec
from servelens.protocol import did_you_mean
from servelens_archives.checks import Check, Unfit
from servelens_archives.errors import BuildError, RecipeError
from servelens_archives.sections import INPUT, LENS, MODEL, SECTIONS, SERVE, TOP, output_section

DEFAULT_WEIGHTS = "default"
NO_WEIGHTS = "none"
# TorchServe's own max_response_size, where a server's settings do not say otherwise.
SERVERS_LIMIT = 6_553_500
VARIANTS = ("explain",)

# What torchvision's builders of these set by themselves when they are given their weights.
PRETRAINED_KWARGS: Mapping[str, Mapping[str, Any]] = {
    "googlenet": {"transform_input": True},
    "inception_v3": {"transform_input": True},
}
# ImageNet's as one channel: each the mean of its three.
GREY: Mapping[str, Any] = {"mean": (0.449,), "std": (0.226,)}

# The archive's folder comes first on the worker's path: a file of such a name would hide these.
TAKEN_MODULES = frozenset(sys.stdlib_module_names) | {
    "captum", "lens_handler", "numpy", "PIL", "servelens", "torch", "torchvision", "ts", "yaml",
}  # fmt: skip


@dataclass(frozen=True)
class ServeSpec:
    """How a server should run the archive."""

    batch_size: int = 1
    max_batch_delay_ms: int = 5
    response_timeout_s: int = 120
    threads: int = 0
    nice: int = 0
    response_bytes: int = 6_000_000
    dtype: str = "float32"

    def warnings(self) -> tuple[str, ...]:
        if self.response_bytes < SERVERS_LIMIT:
            return ()
        return (
            f"[serve] response_bytes allows answers of {self.response_bytes:,} bytes, and a server "
            f"whose config.properties leaves max_response_size at its {SERVERS_LIMIT:,} kills the "
            "worker that gives one: raise that above it, or lower response_bytes",
        )


@dataclass(frozen=True)
class Recipe:
    """One model's way into an archive. `weights` is "default", "none" or an absolute path; by
    `images`, a folder of photos, the default method is chosen."""

    card: Card
    weights: str
    model_file: Path | None = None
    serve: ServeSpec = field(default_factory=ServeSpec)
    images: Path | None = None

    def as_variant(self, variant: str) -> Recipe:
        """The same model for another queue: slow explanations then hold up no predictions."""
        if variant not in VARIANTS:
            raise BuildError(f"there is no variant {variant!r}, only {', '.join(VARIANTS)}")
        card = dataclasses.replace(
            self.card,
            name=f"{self.card.name}-explain",
            title=f"{self.card.title} (explanations)",
        )
        serve = dataclasses.replace(self.serve, batch_size=1, nice=19)
        return dataclasses.replace(self, card=card, serve=serve)


def load_recipe(path: Path) -> Recipe:
    """The recipe in this TOML file; raises RecipeError with everything that is wrong in it."""
    return recipe_of(read_table(path), path.resolve().parent, path.name)


def recipe_of(table: Mapping[str, Any], folder: Path, name: str) -> Recipe:
    """A recipe's table, checked; its paths begin in `folder`, and errors call it by `name`."""
    return _Reader(table, folder).recipe(name)


def read_table(path: Path) -> dict[str, Any]:
    """A TOML file's content, whatever that is."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise RecipeError(str(path), [f"it cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeError(str(path), [f"it is not TOML: {error}"]) from None


class _Reader:
    """Reads section by section and gathers what is wrong."""

    def __init__(self, table: Mapping[str, Any], folder: Path) -> None:
        self.table = table
        self.folder = folder
        self.problems: list[str] = []

    def recipe(self, file_name: str) -> Recipe:
        top = self._top()
        model = self._section("model", MODEL)
        weights = self._weights(model)
        source = self._source(model, weights)
        spec = self._input()
        output = self._output(source)
        lens = self._section("lens", LENS)
        images = lens.pop("images", None)
        serve = ServeSpec(**self._section("serve", SERVE))
        if self.problems:
            raise RecipeError(file_name, self.problems)
        card = Card(**top, model=source, input=spec, output=output, lens=LensSpec(**lens))
        model_file = self.folder / model["file"] if "file" in model else None
        examples = None if images is None else self.folder / images
        return Recipe(card, weights, model_file, serve, examples)

    def _section(self, name: str, keys: Mapping[str, Check]) -> dict[str, Any]:
        table = self.table.get(name, {})
        if not isinstance(table, dict):
            self._wrong(f"{name} must be a section [{name}] with keys of its own")
            return {}
        return self._values(table, keys, f"[{name}] ", tuple(keys))

    def _values(
        self,
        table: Mapping[str, Any],
        keys: Mapping[str, Check],
        where: str,
        known: tuple[str, ...],
    ) -> dict[str, Any]:
        values = {}
        for key, value in table.items():
            if key not in keys:
                self._wrong(f"{where}{key} is not a key of a recipe; {did_you_mean(key, known)}")
                continue
            try:
                values[key] = keys[key](value)
            except Unfit as unfit:
                self._wrong(f"{where}{key} {unfit}")
        return values

    def _top(self) -> dict[str, Any]:
        table = {key: value for key, value in self.table.items() if key not in SECTIONS}
        top = self._values(table, TOP, "", (*TOP, *SECTIONS))
        if "name" not in table:
            self._wrong('name is missing; give the model one, as in name = "resnet18"')
        return {"title": top.get("name"), **top}

    def _input(self) -> InputSpec:
        given = self._section("input", INPUT)
        spec = InputSpec(**({**GREY, **given} if given.get("channels") == 1 else given))
        for key, values in (("mean", spec.mean), ("std", spec.std)):
            if len(values) != spec.channels:
                self._wrong(
                    f"[input] {key} has {len(values)} numbers where channels is {spec.channels}; "
                    "give one a channel"
                )
        return spec

    def _output(self, source: ModelSource) -> OutputSpec:
        output = OutputSpec(**self._section("output", output_section(self.folder)))
        labels, classes = output.labels, source.num_classes
        single_logit = classes == 1 and labels is not None and len(labels) == 2
        if labels is not None and classes not in (None, len(labels)) and not single_logit:
            self._wrong(
                f"[output] labels has {len(labels)} names where [model] num_classes is {classes}"
            )
        return output

    def _weights(self, model: Mapping[str, Any]) -> str:
        weights: str = model.get("weights", DEFAULT_WEIGHTS)
        if weights == DEFAULT_WEIGHTS and "file" in model:
            self._wrong(
                "[model] weights must be the path of your own class's weights, or "
                f'"{NO_WEIGHTS}" for random ones; "{DEFAULT_WEIGHTS}" is for torchvision\'s'
            )
        special = weights in (DEFAULT_WEIGHTS, NO_WEIGHTS)
        return weights if special else str(self.folder / weights)

    def _source(self, model: Mapping[str, Any], weights: str) -> ModelSource:
        self._check_one_source()
        architecture, file = model.get("architecture"), model.get("file")
        if file is not None:
            self._check_file(self.folder / file)
        kwargs = model.get("kwargs", {})
        if weights == DEFAULT_WEIGHTS:
            kwargs = {**PRETRAINED_KWARGS.get(architecture or "", {}), **kwargs}
        return ModelSource(
            architecture=architecture,
            file=Path(file).name if file is not None else None,
            class_name=model.get("class"),
            kwargs=kwargs,
            num_classes=model.get("num_classes"),
        )

    def _check_one_source(self) -> None:
        table = self.table.get("model", {})
        if not isinstance(table, dict):
            return
        has = {key: key in table for key in MODEL}
        if has["architecture"] and (has["file"] or has["class"]):
            self._wrong(
                "[model] has architecture and also file or class; give torchvision's name of an "
                "architecture, or the file and the class of your own model"
            )
        elif not has["architecture"] and not (has["file"] and has["class"]):
            self._wrong(
                '[model] must have architecture = "resnet18" or another of torchvision\'s, '
                'or both file = "net.py" and class = "Net"'
            )

    def _check_file(self, path: Path) -> None:
        if path.suffix != ".py" or not path.is_file():
            self._wrong(f"[model] file must be a Python file, and {path} is none")
        elif path.stem in TAKEN_MODULES:
            self._wrong(
                f"[model] file is called {path.name!r}, which would hide the module "
                f"{path.stem!r} from the worker; rename it"
            )

    def _wrong(self, problem: str) -> None:
        self.problems.append(problem)
