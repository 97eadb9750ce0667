"""The attribution methods: each module beside this one declares one, and that is all it takes."""

from __future__ import annotations

import importlib
import pkgutil
from types import MappingProxyType
from typing import Dict, Mapping

from servelens.engine.kit import Method

__all__ = ["METHODS"]


def _find_methods() -> Mapping[str, Method]:
    found: Dict[str, Method] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, Method):
                found[value.name] = value
    return MappingProxyType(found)


METHODS = _find_methods()
