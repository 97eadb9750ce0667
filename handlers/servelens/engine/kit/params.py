"""One parameter of a method, and those that several methods share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Mapping, Tuple

from servelens.protocol import did_you_mean, place, problem, shorten
from servelens.protocol.capability import ParamFacts
from servelens.protocol.shapes import Flag, Integer, Shape


@dataclass(frozen=True)
class Param:
    """A caller's form, the validation and the documentation come from here."""

    name: str
    shape: Shape
    default: Any
    help: str

    def describe(self) -> ParamFacts:
        schema = self.shape.schema()
        return ParamFacts(
            name=self.name,
            type=schema.get("contentMediaType", schema.get("type", "choice")),
            default=self.default,
            min=schema.get("minimum"),
            max=schema.get("maximum"),
            choices=schema.get("enum"),
            help=self.help,
        )

    def at_most(self, most: int) -> Param:
        """The same where no more is allowed, nor by default; what makes no map at all never is."""
        shape = self.shape
        assert isinstance(shape, Integer) and shape.min is not None and shape.max is not None
        most = max(shape.min, min(shape.max, most))
        return replace(self, shape=Integer(shape.min, most), default=min(self.default, most))


PER_CHANNEL = Param("per_channel", Flag(), False, "keep the colour channels apart")


def read_params(
    of: str, declared: Tuple[Param, ...], given: Mapping[str, Any], where: str
) -> Dict[str, Any]:
    """The caller's parameters, checked, with the defaults of those not given; null is none given
    where that is the default."""
    known = {param.name: param for param in declared}
    for name in given:
        if name not in known:
            raise problem(
                "unknown_key",
                f"{of} has no parameter {shorten(name)}",
                hint=did_you_mean(name, known) if known else f"{of} takes none",
                where=place(name, where),
            )
    values = {name: given.get(name, param.default) for name, param in known.items()}
    return {
        name: value
        if value is known[name].default
        else known[name].shape.read(value, f"{where}.{name}")
        for name, value in values.items()
    }
