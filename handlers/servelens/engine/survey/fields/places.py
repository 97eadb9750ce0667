"""Rules for operations that rearrange units, or mix all of a dimension at once."""

from __future__ import annotations

from typing import Any, List, Optional

import torch

from servelens.engine.survey.fields.call import Call
from servelens.engine.survey.fields.field import Factor, Field, axes_of, merged, plain, regrouped

# ------------------------------------------------------------------------------- rearranging


def stay(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    return field.resized(output.shape)


def reshape(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    layout = regrouped(field.layout, output.shape)
    return None if layout is None else field.laid_out(layout)


def expand(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    return merged([field], output.shape)


def permute(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    return field.laid_out(tuple(field.layout[dim] for dim in call["dims"]))


def transpose(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    layout = list(field.layout)
    if len(layout) > 1:
        one, other = call.get("dim0", 0), call.get("dim1", 1)
        layout[one], layout[other] = layout[other], layout[one]
    return field.laid_out(tuple(layout))


def rearrange_channels(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    """A split, flip, roll or choice; along height or width each part would need its own field."""
    moved = [field.layout[dim] for dim in _dimensions(call, field)]
    return None if axes_of(moved) else field.resized(output.shape)


def index_channels(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    """x[:, [0, 2]]"""
    indexed = [dim for dim, index in enumerate(call["indices"]) if index is not None]
    if len(indexed) > 1 or axes_of([field.layout[indexed[0]]]):
        return None
    return field.resized(output.shape)


def repeat_channels(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    repeats = call["repeats"]
    if len(repeats) != len(field.layout):
        return None
    repeated = [dimension for dimension, times in zip(field.layout, repeats) if times != 1]
    return None if axes_of(repeated) else field.resized(output.shape)


def select(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    dim = call["dim"] % len(field.layout)
    if axes_of([field.layout[dim]]):
        return None
    return field.laid_out(field.layout[:dim] + field.layout[dim + 1 :])


# ------------------------------------------------------------------------- mixing a dimension


def reduce(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    return field.reduced(_dimensions(call, field), bool(call.get("keepdim", False)))


def mix(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    return field.mixed_along(_dimensions(call, field)).resized(output.shape)


def group_norm(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    return field.mixed_along(range(len(field.layout))).resized(output.shape)


def layer_norm(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    rank = len(field.layout)
    normalised = range(rank - len(call["normalized_shape"]), rank)
    return field.mixed_along(normalised).resized(output.shape)


def batch_norm(call: Call, field: Field, output: torch.Tensor) -> Optional[Field]:
    """With the statistics of the batch, as instance norm is made, each unit sees the whole map."""
    by_batch = call.get("training", False) or call.get("train", False)
    return (group_norm if by_batch else stay)(call, field, output)


def _dimensions(call: Call, field: Field) -> List[int]:
    """What `dim` or `dims` says; all of them where it says nothing."""
    dims = call.get("dim", call.get("dims"))
    if dims is None or dims == []:
        return list(range(len(field.layout)))
    return dims if isinstance(dims, list) else [dims]


# ---------------------------------------------------------------------------- several inputs


def combine(call: Call, output: torch.Tensor) -> Optional[Field]:
    """Elementwise."""
    return merged(call.known, output.shape)


def overwrite(call: Call, output: torch.Tensor) -> Optional[Field]:
    """copy_: what was there before no longer counts."""
    written = call.field_of(call["src"])
    return None if written is None else merged([written], output.shape)


def concatenate(call: Call, output: torch.Tensor) -> Optional[Field]:
    dim = call["dim"] % output.dim()
    joined = (Factor(output.shape[dim], None),)
    laid: List[Field] = []
    for field in _fields(call, call["tensors"]):
        if axes_of([field.layout[dim]]):
            return None
        laid.append(field.laid_out((*field.layout[:dim], joined, *field.layout[dim + 1 :])))
    return merged(laid, output.shape)


def stack(call: Call, output: torch.Tensor) -> Optional[Field]:
    dim = call["dim"] % output.dim()
    new = (Factor(output.shape[dim], None),)
    laid = [
        field.laid_out((*field.layout[:dim], new, *field.layout[dim:]))
        for field in _fields(call, call["tensors"])
    ]
    return merged(laid, output.shape)


def _fields(call: Call, tensors: Any) -> List[Field]:
    found = (call.field_of(tensor) for tensor in tensors)
    return [field for field in found if field is not None]


_PRODUCTS = {
    "mm": ("self", "mat2"),
    "bmm": ("self", "mat2"),
    "addmm": ("mat1", "mat2"),
    "baddbmm": ("batch1", "batch2"),
    "linear": ("input", "weight"),
}


def matrix_product(call: Call, output: torch.Tensor) -> Optional[Field]:
    """With a weight, places survive in all but the summed dimension; without one it is attention,
    where every unit may come to see every other."""
    left, right = (call.field_of(call[name]) for name in _PRODUCTS[call.name])
    new = plain(output.shape)
    if left is not None and right is not None:
        return left.without_grid(output.shape)
    if left is not None:
        return left.laid_out(left.layout[:-1] + new[-1:])
    if right is not None:
        return right.laid_out(right.layout[:-2] + new[-2:-1] + right.layout[-1:])
    return None
