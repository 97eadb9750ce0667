"""Weights from anywhere fit their model or are told apart, and no pickle runs what it asks for."""

from __future__ import annotations

import io
import os
import pickle
import sys
import textwrap
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from servelens.engine.folder.card import Card, ModelSource, OutputSpec
from servelens.engine.folder.loading import load_module
from servelens_archives import weights as weights_module
from servelens_archives.errors import BuildError, WeightsError
from servelens_archives.fitting import fit, with_class_count
from servelens_archives.open_weights import Unusable, read_state
from servelens_archives.weights import (
    Origin,
    equip,
    open_foreign,
    refuse_unsafe_torch,
)

# Foreign files are opened in processes that import torch anew.
pytestmark = pytest.mark.slow

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=2):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.fc = nn.Linear(3, num_classes)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).mean((2, 3)))
"""
SAVE_ALONE = "save the weights alone with torch.save(model.state_dict(), path)"


class Bomb:
    """What a hostile file looks like: unpickling it calls what it names."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, (f"touch '{self.trace}'",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    (path / "net.py").write_text(NET)
    return path


def own_card(num_classes: int | None = None) -> Card:
    return Card(name="tiny", model=ModelSource(None, "net.py", "Net", {}, num_classes))


def own_model(folder: Path, num_classes: int = 2) -> nn.Module:
    scope: dict[str, object] = {"__name__": "__main__"}
    exec(compile(NET, str(folder / "net.py"), "exec"), scope)
    module = scope["Net"](num_classes)  # type: ignore[operator]
    assert isinstance(module, nn.Module)
    return module


def state_of(folder: Path, num_classes: int = 2) -> dict[str, torch.Tensor]:
    return own_model(folder, num_classes).state_dict()


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def same(left: Mapping[str, torch.Tensor], right: Mapping[str, torch.Tensor]) -> bool:
    return list(left) == list(right) and all(torch.equal(left[n], right[n]) for n in left)


@pytest.mark.parametrize("wrap", ["bare", "state_dict", "model_state_dict", "model"])
def test_a_state_dict_is_found_in_each_common_checkpoint(folder: Path, wrap: str) -> None:
    state = state_of(folder)
    content = state if wrap == "bare" else {"epoch": 3, wrap: state, "optimizer": {"lr": 0.1}}
    assert same(read_state(saved(folder / "a.pth", content)), state)


def test_a_whole_model_of_library_classes_is_opened(tmp_path: Path) -> None:
    model = torchvision.models.squeezenet1_1(num_classes=3)
    assert same(read_state(saved(tmp_path / "a.pt", model)), model.state_dict())


def test_a_whole_model_of_the_recipes_own_class_is_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = own_model(folder)
    monkeypatch.setattr(sys.modules["__main__"], "Net", type(model), raising=False)
    path = saved(folder / "a.pt", model)
    assert same(read_state(path, folder / "net.py"), model.state_dict())
    with pytest.raises(Unusable) as error:
        read_state(path)
    assert str(error.value) == (
        f"asks for __main__.Net, which could run code, so it was not opened; {SAVE_ALONE}"
    )


def test_plain_arrays_are_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.arange(3.0, dtype=np.float32))
    assert read_state(tmp_path / "a.npz")["w"].tolist() == [0, 1, 2]


def test_a_bomb_in_a_pt_file_does_not_go_off(tmp_path: Path) -> None:
    trace = tmp_path / "it ran"
    with pytest.raises(Unusable) as error:
        read_state(saved(tmp_path / "a.pt", {"w": torch.ones(1), "x": Bomb(trace)}))
    assert str(error.value) == (
        f"asks for posix.system, which could run code, so it was not opened; {SAVE_ALONE}"
    )
    assert not trace.exists()
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert trace.exists(), "the bomb must be a live one"


def test_a_bomb_as_a_bare_pickle_does_not_go_off(tmp_path: Path) -> None:
    trace = tmp_path / "it ran"
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Bomb(trace), protocol=2))
    with pytest.raises(Unusable, match="could run code"):
        read_state(tmp_path / "a.pth")
    assert not trace.exists()


def test_a_bomb_in_arrays_does_not_go_off(tmp_path: Path) -> None:
    trace = tmp_path / "it ran"
    np.savez(tmp_path / "a.npz", w=np.array([Bomb(trace)], dtype=object))
    with pytest.raises(Unusable, match="not a file of plain numeric arrays"):
        read_state(tmp_path / "a.npz")
    assert not trace.exists()


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("name", ["a.pt", "a.npz"])
def test_a_truncated_file_is_told(folder: Path, name: str, kept: float) -> None:
    state = state_of(folder)
    whole = folder / f"whole{Path(name).suffix}"
    if name == "a.pt":
        torch.save(state, whole)
    else:
        np.savez(whole, **{n: t.numpy() for n, t in state.items()})
    content = whole.read_bytes()
    (folder / name).write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(Unusable, match="it is cut short|could run code"):
        read_state(folder / name)


def test_a_number_repeated_into_terabytes_is_not_unfolded(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"w": torch.zeros(1).expand(10**12)})
    assert path.stat().st_size < 10_000
    with pytest.raises(Unusable, match="would unfold to 3725 GiB of weights"):
        read_state(path)


def test_a_zip_bomb_meets_the_memory_limit(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": (5 * 2**30,)}
        )
        with file.open("w.npy", "w", force_zip64=True) as member:
            member.write(header.getvalue())
            for _ in range(4):
                member.write(bytes(2**20))
    with pytest.raises(WeightsError, match=r"^a\.npz needs more than 4 GiB to be opened"):
        open_foreign(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (["w"], "holds a list, not weights"),
        ({}, "holds no weights"),
        ({"w": 3}, "holds a int under 'w' where weights were expected"),
        ({3: torch.ones(1)}, "holds a Tensor under 3 where weights were expected"),
        ({"w": torch.ones(1, device="meta")}, "holds 'w' as torch.float32 on meta"),
        ({"w": torch.eye(2).to_sparse()}, "with layout torch.sparse_coo"),
        ({"w": torch.ones(1, dtype=torch.complex64)}, "holds 'w' as torch.complex64"),
    ],
)
def test_what_is_not_weights_is_told(tmp_path: Path, content: object, sentence: str) -> None:
    with pytest.raises(Unusable) as error:
        read_state(saved(tmp_path / "a.pt", content))
    assert sentence in str(error.value)


@pytest.mark.filterwarnings("ignore:.*(deprecated|TorchScript archive)")
def test_a_torchscript_program_is_told(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(1, 1), torch.ones(1, 1)), tmp_path / "a.pt")
    with pytest.raises(Unusable, match="is a TorchScript program, not weights; save the model"):
        read_state(tmp_path / "a.pt")


def test_a_hostile_file_ends_its_own_process_with_one_sentence(tmp_path: Path) -> None:
    trace = tmp_path / "it ran"
    with pytest.raises(WeightsError) as error:
        open_foreign(saved(tmp_path / "a.pt", {"w": Bomb(trace)}))
    assert str(error.value) == (
        f"a.pt asks for posix.system, which could run code, so it was not opened; {SAVE_ALONE}"
    )
    assert not trace.exists()


def test_files_of_another_kind_or_nowhere_are_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"a\.bin is none of the weights files \.pt, \.pth, "):
        open_foreign(tmp_path / "a.bin")
    with pytest.raises(WeightsError, match="there is no weights file"):
        open_foreign(tmp_path / "a.pt")


def test_a_file_that_takes_for_ever_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_module, "OPENING_SECONDS", 0.2)
    with pytest.raises(WeightsError, match=r"a\.pt took longer than 0 seconds and was stopped"):
        open_foreign(saved(tmp_path / "a.pt", {"w": torch.ones(1)}))


@pytest.mark.parametrize(("version", "safe"), [("2.5.1+cu121", False), ("2.4.0", False),
                                               ("2.6.0", True), ("2.13.0+cpu", True)])  # fmt: skip
def test_pickles_are_refused_on_torch_whose_restriction_does_not_hold(
    version: str, safe: bool
) -> None:
    if safe:
        refuse_unsafe_torch(version)
        return
    with pytest.raises(WeightsError, match=r"CVE-2025-32434.*torch 2\.6 or newer"):
        refuse_unsafe_torch(version)


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module.model."])
def test_a_wrappers_prefix_is_taken_off(folder: Path, prefix: str) -> None:
    state = state_of(folder)
    assert same(fit({prefix + n: t for n, t in state.items()}, state), state)


def test_a_prefix_that_is_the_models_own_stays() -> None:
    state = {"model.w": torch.ones(1)}
    assert same(fit(state, state), state)


def test_counters_of_training_may_be_missing(folder: Path) -> None:
    expected = state_of(folder)
    bare = {n: t for n, t in expected.items() if not n.endswith("num_batches_tracked")}
    fitted = fit(bare, expected)
    assert set(fitted) == set(expected)
    assert fitted["norm.num_batches_tracked"].item() == 0


def test_heads_of_training_are_left_out_where_the_model_has_none() -> None:
    with_heads = torchvision.models.googlenet(init_weights=False, aux_logits=True).state_dict()
    without = torchvision.models.googlenet(init_weights=False, aux_logits=False).state_dict()
    assert set(fit(with_heads, without)) == set(without)
    assert set(fit(with_heads, with_heads)) == set(with_heads)


def test_densenets_former_names_are_known() -> None:
    expected = torchvision.models.densenet121().state_dict()
    former = {
        n.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.")
        .replace("conv1.", "conv.1.").replace("conv2.", "conv.2."): t
        for n, t in expected.items()
    }  # fmt: skip
    assert "features.denseblock1.denselayer1.norm.1.weight" in former
    assert set(fit(former, expected)) == set(expected)


def test_the_number_of_classes_is_found_from_the_weights(folder: Path) -> None:
    state = state_of(folder, 7)
    assert with_class_count(folder, own_card(), state).model.num_classes == 7
    assert with_class_count(folder, own_card(5), state).model.num_classes == 5
    resnet = Card(name="r", model=ModelSource("resnet18"))
    state = torchvision.models.resnet18(num_classes=4).state_dict()
    assert with_class_count(folder, resnet, state).model.num_classes == 4


def test_weights_from_a_file_are_what_the_worker_will_load(folder: Path) -> None:
    state = state_of(folder, 3)
    state["conv.weight"] = state["conv.weight"].bfloat16()
    wrapped = {f"module.{name}": value for name, value in state.items()}
    path = saved(folder.parent / "mine.pt", {"state_dict": wrapped})
    card, origin = equip(folder, own_card(), str(path), seed=0)
    expected = {**state, "conv.weight": state["conv.weight"].float()}
    assert same(load_module(folder, card).state_dict(), expected)
    assert card.model.num_classes == 3
    assert (origin.source, origin.file) == ("file", "mine.pt")
    assert origin.sha256 is not None
    assert len(origin.sha256) == 64


def test_weights_that_do_not_fit_are_listed_by_name_and_shape(folder: Path) -> None:
    state = state_of(folder)
    state["conv.weight"] = torch.zeros(3, 3, 3, 3)
    state["extra"] = torch.zeros(1)
    del state["fc.bias"]
    path = saved(folder.parent / "mine.pt", state)
    with pytest.raises(WeightsError) as error:
        equip(folder, own_card(), str(path), seed=0)
    assert str(error.value) == (
        "mine.pt: the weights do not fit the model: 1 missing: fc.bias; 1 not in the model: extra; "
        "1 of another shape: conv.weight (3, 3, 3, 3) where the model has (3, 1, 3, 3)"
    )


def test_random_weights_follow_their_seed_and_leave_the_generator_alone(folder: Path) -> None:
    def draw(seed: int) -> tuple[bytes, Origin]:
        _, origin = equip(folder, own_card(), "none", seed)
        return (folder / "weights.npz").read_bytes(), origin

    torch.manual_seed(123)
    before = torch.get_rng_state()
    (one, origin), (again, _), (other, _) = draw(1), draw(1), draw(2)
    assert one == again != other
    assert origin == Origin("none", seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_labels_say_how_many_classes_random_weights_have(folder: Path) -> None:
    card = Card(
        name="tiny",
        model=ModelSource(None, "net.py", "Net"),
        output=OutputSpec(labels=("a", "b", "c", "d")),
    )
    card, _ = equip(folder, card, "none", 0)
    assert load_module(folder, card).state_dict()["fc.bias"].shape == (4,)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("class Other: ...", "net.py defines no 'Net'"),
        ("import there_is_no_such_module", "net.py cannot be built: ModuleNotFoundError: No module "
         "named 'there_is_no_such_module'"),
        ("class Net: ...", "Net built a Net, not an nn.Module"),
        ("def Net(:", "net.py cannot be built: SyntaxError: "),
    ],
)  # fmt: skip
def test_a_class_that_cannot_be_built_is_told(folder: Path, code: str, sentence: str) -> None:
    (folder / "net.py").write_text(textwrap.dedent(code))
    with pytest.raises(BuildError) as error:
        equip(folder, own_card(), "none", 0)
    assert str(error.value).startswith(sentence)


def test_an_architecture_that_torchvision_lacks_is_told(folder: Path) -> None:
    card = Card(name="r", model=ModelSource("resnet81"))
    with pytest.raises(BuildError, match="torchvision has no model 'resnet81'"):
        equip(folder, card, "default", 0)
    with pytest.raises(BuildError, match="torchvision has no model 'resnet81'"):
        equip(folder, card, "none", 0)
