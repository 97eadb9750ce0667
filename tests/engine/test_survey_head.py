"""What the output went through last is found, and the logits before it keep their gradients."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from servelens.engine.head import KINDS, Head, HeadTap
from servelens.engine.survey import survey

ENDINGS: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "nothing": ("logits", lambda z: z),
    "a softmax module": ("softmax", nn.Softmax(dim=1)),
    "a functional softmax": ("softmax", lambda z: functional.softmax(z, dim=1)),
    "a softmax method": ("softmax", lambda z: z.softmax(-1)),
    "torch.softmax": ("softmax", lambda z: torch.softmax(input=z, dim=1)),
    "a softmax of a copy": ("softmax", lambda z: z.float().softmax(1)),
    "a softmax, reshaped": ("softmax", lambda z: z[:, :, None, None].softmax(1).flatten(1)),
    "a log-softmax": ("log_softmax", nn.LogSoftmax(dim=1)),
    "a functional log-softmax": ("log_softmax", lambda z: functional.log_softmax(z, 1)),
    "a sigmoid module": ("sigmoid", nn.Sigmoid()),
    "torch.sigmoid": ("sigmoid", torch.sigmoid),
    "a sigmoid in place": ("sigmoid", lambda z: z.sigmoid_()),
    "torch.special.expit": ("sigmoid", torch.special.expit),
    "dropout behind a softmax": ("softmax", nn.Sequential(nn.Softmax(dim=1), nn.Dropout())),
}


class Network(nn.Module):
    """Has a sigmoid gate and an attention softmax of its own, which are not the head."""

    def __init__(self, ending: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.linear = nn.Linear(4, 5)
        self.ending = ending

    def before(self, x: Tensor) -> Tensor:
        x = self.convolution(x)
        x = x * torch.sigmoid(x.mean((2, 3), keepdim=True)) * x.softmax(1)
        return self.linear(x.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.ending(self.before(x))


@pytest.fixture
def image() -> Tensor:
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network(ending: str) -> tuple[str, Network]:
    torch.manual_seed(1)
    kind, function = ENDINGS[ending]
    return kind, Network(function).eval()


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_survey_names_the_head(ending: str, image: Tensor) -> None:
    kind, model = network(ending)
    found = survey(model, image)
    assert found.head == Head(kind, 5)
    assert found.problems == ()


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_tap_gives_the_logits_and_their_gradient(ending: str, image: Tensor) -> None:
    kind, model = network(ending)
    expected = model.before(image)
    source = image.clone().requires_grad_(True)
    with HeadTap(kind) as tap:
        output = model(source)
        logits = tap.logits(output)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(output, ENDINGS[ending][1](expected.clone()))
    (gradient,) = torch.autograd.grad(logits[:, 2].sum(), source)
    source_again = image.clone().requires_grad_(True)
    (wanted,) = torch.autograd.grad(model.before(source_again)[:, 2].sum(), source_again)
    torch.testing.assert_close(gradient, wanted)


def test_a_saturated_softmax_hides_the_gradient_that_its_logits_have(image: Tensor) -> None:
    _, model = network("a softmax module")
    with torch.no_grad():
        model.linear.bias[1] = 200.0
    source = image.clone().requires_grad_(True)
    with HeadTap("softmax") as tap:
        output = model(source)
    (behind,) = torch.autograd.grad(output[:, 1].sum(), source, retain_graph=True)
    (before,) = torch.autograd.grad(tap.logits(output)[:, 1].sum(), source)
    assert not behind.any()
    assert before.any()


def test_the_tap_works_in_inference_mode_and_in_half_precision(image: Tensor) -> None:
    kind, model = network("a softmax module")
    with torch.inference_mode(), HeadTap(kind) as tap:
        logits = tap.logits(model.bfloat16()(image.bfloat16()))
    assert logits.dtype == torch.bfloat16
    assert not torch.allclose(logits.float().sum(1), torch.ones(2), atol=0.05)


def test_a_tap_that_is_used_again_forgets_the_pass_before(image: Tensor) -> None:
    kind, model = network("a softmax module")
    tap = HeadTap(kind)
    with tap:
        first = model(image)
    with tap:
        second = model(2 * image)
    torch.testing.assert_close(tap.logits(second), model.before(2 * image))
    with pytest.raises(RuntimeError, match="survey the model anew"):
        tap.logits(first)


def test_an_output_from_elsewhere_is_refused_with_the_reason() -> None:
    with HeadTap("sigmoid") as tap:
        output = torch.rand(1, 3)
    with pytest.raises(RuntimeError, match=r"end in a sigmoid.*\(1, 3\) did not come out of one"):
        tap.logits(output)


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=f"'tanh' is no kind of head; there are {', '.join(KINDS)}"
    ):
        HeadTap("tanh")


def test_the_larger_of_two_branches_does_not_hide_the_one_that_is_returned(image: Tensor) -> None:
    class TwoBranches(Network):
        def forward(self, x: Tensor) -> Tensor:
            logits = self.before(x)
            answer = logits.softmax(1)
            logits.mul(3).sigmoid()
            return answer

    model = TwoBranches(lambda z: z).eval()
    assert survey(model, image).head == Head("softmax", 5)


def test_gates_inside_a_network_are_not_held_by_a_tap(image: Tensor) -> None:
    gates: list[weakref.ref[Tensor]] = []

    class Gated(Network):
        def before(self, x: Tensor) -> Tensor:
            x = self.convolution(x)
            gate = torch.sigmoid(x)
            gates.append(weakref.ref(gate))
            return self.linear((x * gate).mean((2, 3)))

    model = Gated(torch.sigmoid)
    with torch.no_grad(), HeadTap("sigmoid") as tap:
        output = model(image)
    assert gates[0]() is None
    torch.testing.assert_close(torch.sigmoid(tap.logits(output)), output)


def test_nothing_of_a_tap_is_left_after_an_error(image: Tensor) -> None:
    from torch.overrides import _get_current_function_mode_stack

    _, model = network("nothing")
    with pytest.raises(RuntimeError), HeadTap("softmax"):
        model(image[:, :1])
    assert _get_current_function_mode_stack() == []


# --------------------------------------------------------------------------------- problems


class Returns(nn.Module):
    def __init__(self, function: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.function = function

    def forward(self, x: Tensor) -> object:
        return self.function(self.convolution(x).mean((2, 3)))


@pytest.mark.parametrize(
    ("function", "sentence", "classes"),
    [
        (lambda z: (z, z), "returns a tuple, not one tensor of shape [N, classes]", 0),
        (lambda z: {"out": z}, "returns a dict, not one tensor", 0),
        (lambda z: z[:, :, None], "returns the shape [2, 4, 1] for 2 images, not [2, classes]", 4),
        (lambda z: z.sum(1), "returns the shape [2] for 2 images", 0),
        (lambda z: z[:1], "returns the shape [1, 4] for 2 images", 4),
        (lambda z: z.long(), "returns torch.int64 values, which have no gradient", 4),
        (lambda z: z / 0, "returns NaN or infinite scores", 4),
        (lambda z: z.exp() / z.exp().sum(1, keepdim=True), "look like probabilities, but no", 4),
        (lambda z: z.softmax(0), "softmax does not run over the classes", 4),
    ],
)
def test_an_output_that_cannot_be_explained_well_is_said_to_be_so(
    function: Callable[[Tensor], object], sentence: str, classes: int, image: Tensor
) -> None:
    found = survey(Returns(function).eval(), image)
    [said] = found.problems + found.warnings
    assert sentence in said
    assert found.head.classes == classes


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_torchscript_model_has_a_head_but_no_layers(image: Tensor) -> None:
    scripted = torch.jit.trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()).eval(), image)
    found = survey(scripted, image)
    assert not found.hookable
    assert (found.layers, found.edges, found.default_layer) == ((), (), None)
    assert found.head == Head("logits", 144)
    assert "TorchScript model, which takes no hooks" in found.warnings[0]
