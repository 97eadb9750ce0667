"""How a survey divides a network into stages, and which layers it shows first."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from servelens.engine.survey import Layer, Survey, survey


@pytest.fixture(scope="module")
def resnet18() -> Survey:
    return survey(torchvision.models.resnet18(), torch.rand(1, 3, 64, 64))


def layer(found: Survey, name: str) -> Layer:
    return next(layer for layer in found.layers if layer.name == name)


class Residual(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def test_stages_divide_all_layers_by_resolution(resnet18: Survey) -> None:
    names = [name for stage in resnet18.stages.values() for name in stage]
    assert sorted(names) == sorted(layer.name for layer in resnet18.layers)
    assert list(resnet18.stages) == [*(f"stage {i}" for i in range(1, 6)), "head"]
    assert resnet18.stages["stage 1"] == ("conv1", "bn1", "relu")
    assert resnet18.stages["stage 2"][0] == "maxpool"
    assert resnet18.stages["stage 2"][-1] == "layer1"
    assert resnet18.stages["head"] == ("avgpool", "fc")


def test_a_gate_belongs_to_the_stage_in_which_it_runs() -> None:
    found = survey(torchvision.models.mobilenet_v3_small(), torch.rand(1, 3, 64, 64))
    stages = {name: stage for stage, names in found.stages.items() for name in names}
    for block in ("features.1", "features.4", "features.9"):
        (gate,) = (
            x.name for x in found.layers if x.name.startswith(f"{block}.") and "Squeeze" in x.type
        )
        assert layer(found, f"{gate}.fc1").grid is None
        assert stages[f"{gate}.fc1"] == stages[f"{gate}.avgpool"] == stages[block]


def test_a_part_of_two_resolutions_is_shown_whole_unless_it_is_most_of_the_network() -> None:
    def stage(width: int, count: int) -> nn.Sequential:
        return nn.Sequential(*(Residual(nn.Conv2d(width, width, 3, 1, 1)) for _ in range(count)))

    transition = nn.Sequential(nn.Conv2d(4, 8, 1), nn.MaxPool2d(2))
    parts = [nn.Conv2d(3, 4, 3, 2, 1), stage(4, 2), transition, stage(8, 9)]
    image = torch.rand(1, 3, 32, 32)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    # Seen from outside, and as most of a network: what is shown is the same.
    assert survey(nn.Sequential(*parts, *head), image).default_layers == ("1", "3")
    wrapped = survey(nn.Sequential(nn.Sequential(*parts), *head), image)
    assert wrapped.default_layers == ("0.1", "0")
    # A stage of one resolution is never opened, however much of the network it is.
    longer = nn.Sequential(*parts, nn.MaxPool2d(2), nn.Conv2d(8, 8, 1), *head)
    assert survey(longer, image).default_layers == ("1", "3", "5")
    # The transition's first convolution, still at the higher resolution, runs after stage 1.
    transition.append(Residual(nn.Conv2d(8, 8, 1)))
    assert survey(nn.Sequential(*parts[:3], *head), image).default_layers == ("1", "2")


def test_maps_whose_places_are_mixed_or_pooled_away_are_of_the_resolution_they_come_from() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            flat = x.flatten(2)
            return (flat @ (flat.transpose(1, 2) @ flat).softmax(-1)).view_as(x)

    class Rows(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(3, keepdim=True)

    body = [nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 1)]
    for last in (Attention(), Rows()):
        network = nn.Sequential(*body, last, nn.AdaptiveMaxPool2d(1), nn.Flatten())
        found = survey(network, torch.rand(1, 3, 32, 32))
        assert found.default_layers == ("0", "3")
        assert found.stages == {"stage 1": ("0",), "stage 2": ("1", "2", "3"), "head": ("4", "5")}


def test_where_fields_are_not_known_sizes_tell_resolutions_apart() -> None:
    class Rolled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.roll(x, 1, 2)

    body = [
        nn.Conv2d(3, 4, 3, 2, 1),
        Rolled(),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, 1, 1),
    ]
    network = nn.Sequential(*body, nn.AdaptiveMaxPool2d(1), nn.Flatten())
    found = survey(network, torch.rand(1, 3, 32, 32))
    assert layer(found, "4").receptive_field is None
    assert found.default_layers == ("2", "4")


def test_a_size_that_is_known_tells_the_resolution_of_a_layer_whose_field_is_not() -> None:
    class Rolled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.roll(x, 1, 2)

    # Without padding 32 become 20, which alone would look like half of them.
    network = nn.Sequential(nn.Conv2d(3, 4, 13), Rolled(), nn.AdaptiveMaxPool2d(1), nn.Flatten())
    found = survey(network, torch.rand(1, 3, 32, 32))
    assert layer(found, "1").receptive_field is None
    assert found.default_layers == ("1",)


def test_default_layers_come_in_execution_order_where_a_resolution_comes_back() -> None:
    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.full = nn.Conv2d(3, 4, 3, padding=1)
            self.down, self.again = nn.Conv2d(4, 4, 2, 2), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            up = functional.interpolate(self.down(self.full(x)), scale_factor=2.0)
            return self.again(up).mean((2, 3))

    found = survey(Decoder(), torch.rand(1, 3, 16, 16))
    assert found.default_layers == ("down", "again")


def test_maps_with_channels_last_are_not_shown() -> None:
    class ChannelsLast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(self.conv(x).permute(0, 2, 3, 1)).mean((1, 2))

    found = survey(ChannelsLast(), torch.rand(1, 3, 16, 16))
    assert layer(found, "linear").shape == (14, 14, 5)
    assert (found.default_layer, found.default_layers) == ("conv", ("conv",))


def test_a_flat_network_shows_the_last_map_of_each_resolution() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    found = survey(network, torch.rand(1, 3, 32, 32))
    assert found.default_layer == "7"
    assert found.default_layers == ("1", "4", "7")


def test_unpadded_convolutions_do_not_make_new_resolutions() -> None:
    lenet = nn.Sequential(
        nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.Tanh(), nn.Conv2d(6, 6, 5), nn.Tanh(), nn.AvgPool2d(2)
        ),
        nn.Sequential(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        nn.Sequential(nn.Flatten(), nn.Linear(256, 10)),
    )
    found = survey(lenet, torch.rand(1, 1, 32, 32))
    assert found.default_layer == "1"
    assert len(found.default_layers) == 3


def test_normalisation_inside_the_model_is_no_map_to_show() -> None:
    class Normalise(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x - 0.5) / 0.5

    wrapped = nn.Sequential(Normalise(), torchvision.models.resnet18())
    found = survey(wrapped, torch.rand(1, 3, 64, 64))
    assert found.default_layer == "1.layer4"
    assert found.default_layers == ("1.relu", "1.layer1", "1.layer2", "1.layer3", "1.layer4")


def test_dropout_and_a_fixed_size_pooling_behind_the_last_map_are_not_the_last_map() -> None:
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()),
        nn.Dropout2d(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, 2),
    )  # fmt: skip
    assert survey(network, torch.rand(1, 3, 16, 16)).default_layer == "0"


def test_a_branch_that_the_output_does_not_use_is_not_the_last_map() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.auxiliary = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.body(x)
            self.auxiliary(x)
            return x.mean((2, 3))

    found = survey(Auxiliary(), torch.rand(1, 3, 16, 16))
    assert found.default_layer == "body"


def test_a_network_without_maps_has_no_default_layer_and_says_so() -> None:
    found = survey(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), torch.rand(1, 3, 4, 4))
    assert (found.default_layer, found.default_layers) == (None, ())
    assert found.stages == {"head": ("0", "1")}
    assert "class activation maps have no layer to work on" in found.warnings[0]


def test_blocks_in_a_module_list_are_children_of_what_runs_them() -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(
                nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.ReLU()) for a, b in [(3, 4), (4, 8)]
            )

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x)
            return x.mean((2, 3))

    found = survey(Listed(), torch.rand(1, 3, 16, 16))
    assert found.default_layers == ("blocks.0", "blocks.1")
