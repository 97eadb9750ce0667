"""One dry run of a model that finds out everything a caller needs to know of its layers.

Hooks see which modules run and what they give; a `Dataflow` below them sees what is made of it; a
`HeadTap` sees what the output went through last. Nothing is read from the model's code or class,
so that any model that runs can be surveyed, and what is reported is what happened.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import Any, Iterator, List, Tuple

import torch
from torch import nn

from servelens.engine.head import LOGITS, Head, HeadTap
from servelens.engine.rectifiers import RectifierCount
from servelens.engine.state import borrowed
from servelens.engine.survey.anatomy import Survey
from servelens.engine.survey.dataflow import Dataflow
from servelens.engine.survey.landmarks import Landmarks, find_landmarks
from servelens.engine.survey.observer import Observer

# How far a row of probabilities may be from adding up to 1, in half precision too.
_ROUNDING = 1e-2


def survey(model: nn.Module, example: torch.Tensor) -> Survey:
    """Run the model once on an example [N, channels, height, width] and tell what it is made of.

    Modules that do not run have no layer. An error of the model's own goes to the caller.
    """
    hookable = not isinstance(model, torch.jit.ScriptModule)
    with _dry_run(model):
        image = example.detach().clone()
        observer = Observer(Dataflow(image), len(image))
        with observer.hooks(model), HeadTap() as tap, RectifierCount() as relus, observer.flow:
            output = model(image)
        layers = observer.layers()
        head = Head(tap.kind_of(output), _classes(output))
    landmarks = find_landmarks(layers, observer.telling(output), _size(image))
    problems = tuple(_problems(output, len(image)))
    warnings = () if problems else tuple(_warnings(output, head, hookable, landmarks))
    return Survey(
        layers=layers,
        edges=observer.edges(),
        head=head,
        default_layer=landmarks.default_layer,
        default_layers=landmarks.default_layers,
        stages=landmarks.stages,
        problems=problems,
        warnings=warnings,
        hookable=hookable,
        rectifiers=relus.count,
    )


@contextmanager
def _dry_run(model: nn.Module) -> Iterator[None]:
    """Eval mode and no graph, yet tensors that count their changes (inference mode's do not), and
    random numbers that are not used up."""
    with ExitStack() as stack:
        stack.enter_context(borrowed(model))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.random.fork_rng(_gpus_of(model)))
        yield


def _gpus_of(model: nn.Module) -> List[torch.device]:
    return [d for d in {p.device for p in model.parameters()} if d.type == "cuda"]


def _size(image: torch.Tensor) -> Tuple[int, int]:
    return (int(image.shape[2]), int(image.shape[3])) if image.dim() == 4 else (1, 1)


def _classes(output: Any) -> int:
    if isinstance(output, torch.Tensor) and output.dim() > 1:
        return int(output.shape[1])
    return 0


def _problems(output: Any, rows: int) -> Iterator[str]:
    """Why no request to this model could be answered."""
    if not isinstance(output, torch.Tensor):
        yield (
            f"The model returns a {type(output).__name__}, not one tensor of shape [N, classes]; "
            "wrap it in a module that returns only that."
        )
        return
    if output.dim() != 2 or output.shape[0] != rows:
        yield (
            f"The model returns the shape {list(output.shape)} for {rows} images, not "
            f"[{rows}, classes]; wrap it in a module that gives one score for each class."
        )
        return
    if not output.is_floating_point():
        yield f"The model returns {output.dtype} values, which have no gradient to explain."
        return
    if not bool(torch.isfinite(output).all()):
        yield "The model returns NaN or infinite scores for the example."


def _warnings(
    output: torch.Tensor, head: Head, hookable: bool, landmarks: Landmarks
) -> Iterator[str]:
    """What its owner should know, and what some requests will be told."""
    if not hookable:
        yield (
            "This is a TorchScript model, which takes no hooks: it has no layers to look at, only "
            "methods that work on the input can explain it."
        )
    elif landmarks.default_layer is None:
        yield (
            "No layer gives a feature map of more than one unit, so class activation maps have "
            "no layer to work on."
        )
    add_up = bool(((output.sum(1) - 1).abs() < _ROUNDING).all()) and bool((output >= 0).all())
    if head.kind == LOGITS and head.classes > 1 and add_up:
        yield (
            "The model's scores look like probabilities, but no softmax was seen to make them "
            "(TorchScript hides it): they are explained as they are, and gradients may vanish."
        )
    if head.kind == "softmax" and not add_up:
        yield "The model's last softmax does not run over the classes: its rows do not add up to 1."
