"""Which rule follows the receptive field through which ATen operation.

An elementwise operation needs no entry, ATen tags it. What has no rule gives None, which means
"not known": a field is never guessed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Dict, Optional, TypeVar

import torch

from servelens.engine.survey.fields import places, windows
from servelens.engine.survey.fields.call import Call
from servelens.engine.survey.fields.field import Field

T = TypeVar("T")


def derive(call: Call, output: torch.Tensor) -> Optional[Field]:
    """The field of an operation's output; None where it is not known."""
    known = call.known
    if not known:
        return None
    if "attention" in call.name:
        return known[0].without_grid(output.shape)
    if all(_placeless(field) for field in known) and (call.all_known or call.elementwise):
        return known[0].without_grid(output.shape)
    if not call.all_known:
        return None
    if call.elementwise:
        return places.combine(call, output)
    if call.name in _OF_SEVERAL:
        return _OF_SEVERAL[call.name](call, output)
    if call.name in _OF_ONE:
        return _of_one(_OF_ONE[call.name], call, output)
    return None


def _of_one(rule: windows.Rule, call: Call, output: torch.Tensor) -> Optional[Field]:
    """A second input, such as weights made from the image, only fits in where it sees it all."""
    field = call.field_of(call.source)
    others = [other for other in call.known if other is not field]
    if field is None or not all(other.whole for other in others):
        return None
    return rule(call, replace(field, whole=field.whole or bool(others)), output)


def _placeless(field: Field) -> bool:
    """After a global pooling: all of it sees everything, and there is nothing to keep apart."""
    return field.whole and field.places == 1 and field.spans == field.everywhere


def _table(entries: Dict[str, T]) -> Dict[str, T]:
    return {name: rule for names, rule in entries.items() for name in names.split()}


_OF_SEVERAL: Dict[str, Callable[[Call, torch.Tensor], Optional[Field]]] = _table(
    {
        "cat": places.concatenate,
        "stack": places.stack,
        "copy": places.overwrite,
        "mm bmm addmm baddbmm linear": places.matrix_product,
    }
)

_OF_ONE: Dict[str, windows.Rule] = _table(
    {
        "convolution _convolution": windows.convolution,
        "max_pool2d max_pool2d_with_indices avg_pool2d avg_pool3d": windows.pool,
        "_adaptive_avg_pool2d adaptive_max_pool2d": windows.adaptive_pool,
        "constant_pad_nd reflection_pad2d replication_pad2d": windows.pad,
        "slice": windows.crop,
        "upsample_nearest2d _upsample_nearest_exact2d pixel_shuffle": windows.resample_nearest,
        "upsample_bilinear2d _upsample_bilinear2d_aa": windows.resample_smoothly(1),
        "upsample_bicubic2d _upsample_bicubic2d_aa": windows.resample_smoothly(2),
        "pixel_unshuffle": windows.pixel_unshuffle,
        "view _unsafe_view _reshape_alias squeeze unsqueeze": places.reshape,
        "alias detach clone lift_fresh _to_copy": places.stay,
        "native_dropout glu channel_shuffle native_channel_shuffle": places.stay,
        "expand": places.expand,
        "permute": places.permute,
        "transpose t": places.transpose,
        "split split_with_sizes flip roll index_select index_fill": places.rearrange_channels,
        "index": places.index_channels,
        "repeat": places.repeat_channels,
        "select unbind": places.select,
        "mean sum amax amin max min median prod logsumexp": places.reduce,
        "var std var_mean std_mean linalg_vector_norm norm": places.reduce,
        "argmax argmin any all": places.reduce,
        "_softmax _log_softmax cumsum sort topk": places.mix,
        "native_layer_norm": places.layer_norm,
        "native_group_norm": places.group_norm,
        "native_batch_norm cudnn_batch_norm miopen_batch_norm": places.batch_norm,
        "_native_batch_norm_legit _native_batch_norm_legit_no_training": places.batch_norm,
    }
)
