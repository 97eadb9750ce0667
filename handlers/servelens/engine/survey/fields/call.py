"""One ATen operation as the rules see it: arguments by name, and what is known of its inputs."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

import torch

from servelens.engine.survey.fields.field import Field

# Elementwise, but not tagged so in every release of torch.
_UNTAGGED = frozenset(
    (
        "_prelu_kernel",
        "celu",
        "dropout",
        "elu",
        "hardshrink",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "leaky_relu",
        "log_sigmoid_forward",
        "masked_fill",
        "mish",
        "prelu",
        "rrelu_with_noise",
        "softplus",
        "softshrink",
        "threshold",
    )
)


class Call:
    """`fields` holds those of the tensors that stem from the image; None there means not known.

    What does not stem from the image (a weight) has no entry.
    """

    def __init__(
        self,
        func: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        fields: Mapping[int, Optional[Field]],
    ) -> None:
        # In place or not, an operation computes the same: relu_ follows relu's rule.
        self.name: str = func._schema.name.partition("::")[2].rstrip("_")
        self.elementwise: bool = torch.Tag.pointwise in func.tags or self.name in _UNTAGGED
        self._arguments: Dict[str, Any] = {
            argument.name: argument.default_value for argument in func._schema.arguments
        }
        self._arguments.update(zip(list(self._arguments), args))
        self._arguments.update(kwargs)
        self._fields = fields

    def __getitem__(self, argument: str) -> Any:
        return self._arguments[argument]

    def get(self, argument: str, default: Any = None) -> Any:
        """An argument that this overload may lack, or that may be None."""
        value = self._arguments.get(argument)
        return default if value is None else value

    @property
    def source(self) -> torch.Tensor:
        """The tensor that the operation works on: its first one."""
        return next(v for v in self._arguments.values() if isinstance(v, torch.Tensor))

    @property
    def known(self) -> List[Field]:
        return [field for field in self._fields.values() if field is not None]

    @property
    def all_known(self) -> bool:
        return None not in self._fields.values()

    def field_of(self, tensor: torch.Tensor) -> Optional[Field]:
        return self._fields.get(id(tensor))
