"""A traced model put into the plainest words: one module a call, nothing in place, no idle calls,
no softmax at its end. The answers stay what they were."""

from __future__ import annotations

import copy
import inspect
import operator
from collections import Counter
from typing import Any, Callable, List, Optional

import torch
from torch import fx, nn
from torch.nn.modules.dropout import _DropoutNd

from servelens.engine.head import LOGITS
from servelens.engine.unrolled.calls import NotUnrolledError, called_module, name_of

# What torchvision's stochastic depth and torch's dropouts are called; all say whether they train.
_DROPOUTS = frozenset(
    ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "stochastic_depth")
)
_HEADS = {
    "softmax": ("softmax", "special_softmax"),
    "log_softmax": ("log_softmax", "special_log_softmax"),
    "sigmoid": ("sigmoid", "special_expit"),
}
_HEAD_MODULES = {"softmax": nn.Softmax, "log_softmax": nn.LogSoftmax, "sigmoid": nn.Sigmoid}


def spell_out(
    traced: fx.GraphModule, head: str, fold: Optional[Callable[[nn.Module], None]]
) -> None:
    """In place. `fold` may put parts of the model together when each call has its own module."""
    _own_modules(traced)
    traced.recompile()
    if fold is not None:
        fold(traced)
    _drop_idle_calls(traced)
    _work_on_copies(traced)
    if head != LOGITS:
        _cut_head(traced, head)
    traced.graph.eliminate_dead_code()
    traced.recompile()


def _own_modules(traced: fx.GraphModule) -> None:
    """The weights of a module that is called twice are still shared by its two copies."""
    calls: Counter[Any] = Counter()
    for node in traced.graph.nodes:
        if node.op == "call_module":
            calls[node.target] += 1
            if calls[node.target] > 1:
                name = f"{node.target}_call{calls[node.target]}"
                traced.add_submodule(name, _twin(traced.get_submodule(node.target)))
                node.target = name


def _twin(module: nn.Module) -> nn.Module:
    weights = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in weights})


def _drop_idle_calls(traced: fx.GraphModule) -> None:
    for node in list(traced.graph.nodes):
        if _is_idle(traced, node):
            node.replace_all_uses_with(node.all_input_nodes[0])
            traced.graph.erase_node(node)


def _is_idle(traced: fx.GraphModule, node: fx.Node) -> bool:
    module = called_module(traced, node)
    if module is not None:
        return isinstance(module, (nn.Identity, _DropoutNd))
    return name_of(node) in _DROPOUTS and _argument(node, "training") is False


def _argument(node: fx.Node, name: str) -> Any:
    """What a function was called with under this name, or would be by default."""
    if node.op != "call_function":
        return None
    function: Any = node.target
    try:
        bound = inspect.signature(function).bind(*node.args, **node.kwargs)
    except (TypeError, ValueError):  # torch's built-in functions have no signature
        return None
    bound.apply_defaults()
    return bound.arguments.get(name)


def _work_on_copies(traced: fx.GraphModule) -> None:
    """Each call in place gives a new tensor instead, and who came later reads that one."""
    order = {node: index for index, node in enumerate(traced.graph.nodes)}
    for node in list(traced.graph.nodes):
        changed = node.args[0] if node.args else None
        if isinstance(changed, fx.Node) and _out_of_place(traced, node):
            for user in list(changed.users):
                if order[user] > order[node]:
                    user.replace_input_with(changed, node)


def _out_of_place(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Respells a call in place; False where it was none."""
    module: Any = called_module(traced, node)
    if module is not None:
        in_place = bool(getattr(module, "inplace", False))
        if in_place:
            module.inplace = False
        return in_place
    if _argument(node, "inplace"):
        function: Any = node.target
        bound = inspect.signature(function).bind(*node.args, **node.kwargs)
        bound.arguments["inplace"] = False
        node.args, node.kwargs = bound.args, bound.kwargs
        return True
    respelled = _out_of_place_target(node)
    if respelled is None:
        return False
    node.target = respelled
    return True


def _out_of_place_target(node: fx.Node) -> Any:
    if node.op == "call_method":
        name = str(node.target)
        known = name.endswith("_") and not name.startswith("_") and hasattr(torch.Tensor, name[:-1])
        return name[:-1] if known else None
    name = getattr(node.target, "__name__", "") if node.op == "call_function" else ""
    if node.target is getattr(operator, name, None) and name.startswith("i"):
        return getattr(operator, name[1:], None)  # iadd to add; others with an i have none
    if name.endswith("_") and node.target is getattr(torch, name, None):
        return getattr(torch, name[:-1])
    return None


def _cut_head(traced: fx.GraphModule, head: str) -> None:
    """Walks up from the output to the softmax or the sigmoid, past what only rearranges."""
    (output,) = (node for node in traced.graph.nodes if node.op == "output")
    node = output.args[0]
    while isinstance(node, fx.Node):
        if (
            isinstance(called_module(traced, node), _HEAD_MODULES[head])
            or name_of(node) in _HEADS[head]
        ):
            node.replace_all_uses_with(node.all_input_nodes[0])
            return
        sources: List[fx.Node] = node.all_input_nodes
        node = sources[0] if sources else None
    raise NotUnrolledError(f"the {head} that the model ends in cannot be found in its code")
