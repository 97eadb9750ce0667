"""Calls in a traced model: what they are called, what goes into them, and calls as modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple, Type, Union

import torch
from torch import fx, nn


class NotUnrolledError(Exception):
    """Why a model has no equal one that a method could walk through, as a plain sentence."""


@dataclass(frozen=True)
class _Slot:
    """Where an input goes: the n-th tensor, or the value of a name."""

    key: Union[int, str]


class Call(nn.Module):
    """A call of a function as a module: tensors come in order, sizes and parameters by name, and
    what else it was called with is fixed."""

    def __init__(
        self, function: Callable[..., Any], args: Tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.function = function
        self.call = (args, dict(kwargs))

    def forward(self, *tensors: torch.Tensor, **others: Any) -> Any:
        def fill(part: Any) -> Any:
            if not isinstance(part, _Slot):
                return part
            return tensors[part.key] if isinstance(part.key, int) else others[part.key]

        args, kwargs = fx.node.map_aggregate(self.call, fill)
        return self.function(*args, **kwargs)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


class Ruled(nn.Module):
    """A module that goes forward as what it holds, and backward by a rule instead. Captum, which
    goes by modules' types, does not see one without weights in it."""

    def __init__(self, rule: Type[torch.autograd.Function], inner: Callable[..., Any]) -> None:
        super().__init__()
        self.backward_rule = rule
        if isinstance(inner, nn.Module) and not inner.state_dict():
            inner = inner.forward
        self.inner = inner

    def forward(self, *tensors: torch.Tensor, **others: Any) -> torch.Tensor:
        def run(*given: torch.Tensor) -> Any:
            return self.inner(*given, **others)

        answer: torch.Tensor = self.backward_rule.apply(run, *tensors)
        return answer


class LayerNormAs(nn.Module):
    """A layer norm's weights, used by a function that takes what torch's takes."""

    def __init__(self, function: Callable[..., torch.Tensor], norm: nn.LayerNorm) -> None:
        super().__init__()
        self.function = function
        self.weight, self.bias = norm.weight, norm.bias
        self.fixed = (norm.normalized_shape, norm.eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape, eps = self.fixed
        return self.function(x, shape, self.weight, self.bias, eps)


class Copy(nn.Module):
    """Makes of one tensor two, which hooks tell apart."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clone()


def name_of(node: fx.Node) -> Optional[str]:
    """Of the function or the tensor's method that is called, out of place."""
    if node.op == "call_method":
        return str(node.target).rstrip("_")
    if node.op == "call_function":
        return str(getattr(node.target, "__name__", "")).rstrip("_")
    return None


def called_module(graph_module: fx.GraphModule, node: fx.Node) -> Optional[nn.Module]:
    return graph_module.get_submodule(str(node.target)) if node.op == "call_module" else None


def follow_shapes(graph_module: fx.GraphModule, batch: torch.Tensor) -> None:
    """Notes at each node the shape of what it gives, or None where that is no tensor, and whether
    the input has a part in it."""
    with torch.no_grad():
        _Shapes(graph_module).run(batch)
    for node in graph_module.graph.nodes:
        from_input = any(source.meta["moves"] for source in node.all_input_nodes)
        node.meta["moves"] = node.op == "placeholder" or from_input


class _Shapes(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        n.meta["shape"] = tuple(result.shape) if isinstance(result, torch.Tensor) else None
        return result


def activations(node: fx.Node) -> List[fx.Node]:
    """The tensors among a call's inputs that depend on the model's input."""
    return [n for n in node.all_input_nodes if n.meta["moves"] and n.meta["shape"] is not None]


def as_call(node: fx.Node) -> Tuple[Call, Tuple[fx.Node, ...], Dict[str, fx.Node]]:
    """A call of a function or a tensor's method as a module, and what to call that with."""
    tensors = activations(node)
    others = {n.name: n for n in node.all_input_nodes if n not in tensors}

    def slot(source: fx.Node) -> Any:
        return _Slot(tensors.index(source) if source in tensors else source.name)

    function: Any = node.target
    if node.op == "call_method":
        function = getattr(torch.Tensor, str(node.target))
    args, kwargs = fx.node.map_arg((node.args, dict(node.kwargs)), slot)
    return Call(function, args, kwargs), tuple(tensors), others


def call_instead(
    graph_module: fx.GraphModule,
    node: fx.Node,
    module: nn.Module,
    inputs: Sequence[fx.Node],
    others: Optional[Mapping[str, fx.Node]] = None,
) -> fx.Node:
    """The module takes the place of the node's call."""
    name = add_module(graph_module, node.name, module)
    with graph_module.graph.inserting_before(node):
        call = graph_module.graph.call_module(name, tuple(inputs), dict(others or {}))
    call.meta.update(node.meta)
    node.replace_all_uses_with(call)
    graph_module.graph.erase_node(node)
    return call


def call_between(
    graph_module: fx.GraphModule, source: fx.Node, user: fx.Node, module: nn.Module
) -> None:
    """The user gets what the module makes of the source."""
    name = add_module(graph_module, f"{user.name}_from_{source.name}", module)
    with graph_module.graph.inserting_before(user):
        between = graph_module.graph.call_module(name, (source,))
    between.meta.update(source.meta)
    user.replace_input_with(source, between)


def add_module(graph_module: fx.GraphModule, wish: str, module: nn.Module) -> str:
    """Under a name that nothing has yet."""
    taken: Set[str] = {name for name, _ in graph_module.named_children()}
    name, count = f"{wish}_call", 0
    while name in taken or hasattr(graph_module, name):
        count += 1
        name = f"{wish}_call{count}"
    graph_module.add_module(name, module)
    return name
