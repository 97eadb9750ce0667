"""One store of archives and one server for all tests that ask what TorchServe does with them.

A worker takes seconds to start, so there are four, and they last for the session: `tiny` answers
rows alone and `rows` answers four at a time, both from the same archive; `stock` is TorchServe's
own image_classifier with the same weights; `touchy` has three classes and bad days.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from archive_fixtures.packing import pack
from lens_caller import Lens

from servelens.local import Model, TorchServe
from servelens_archives.builder import build
from servelens_archives.recipe import load_recipe

MODELS = ("tiny", "rows", "stock", "touchy")
GUEST = "guest"
LABELS = ("disc", "square", "star", "cross", "ring", "moon")
ROWS_DELAY_MS = 300
TOUCHY_TIMEOUT_S = 3
TINY = f"""
name = "tiny"
[model]
file = "tiny_net.py"
class = "TinyNet"
num_classes = {len(LABELS)}
weights = "tiny.pt"
[output]
labels = {list(LABELS)}
[lens]
default_layers = ["stem", "block"]
[serve]
threads = 1
"""
TOUCHY = f"""
name = "touchy"
[model]
file = "touchy_net.py"
class = "TouchyNet"
num_classes = 3
weights = "none"
[input]
size = 32
resize = 32
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
[output]
labels = ["crane", "heron", "crane"]
[serve]
batch_size = 4
max_batch_delay_ms = 200
response_timeout_s = {TOUCHY_TIMEOUT_S}
threads = 1
"""
# image_classifier takes a model file with one class of its own, made without arguments.
STOCK = "from tiny_net import TinyNet\n\n\nclass Stock(TinyNet):\n    pass\n"
# Random weights, but so large that photos are told apart, and norms that are not the identity.
WEIGHTS = """
import sys, torch
from tiny_net import TinyNet
torch.manual_seed(0)
net = TinyNet(6)
with torch.no_grad():
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.2, 2)
            module.weight.uniform_(0.5, 2)
    net.head.weight.mul_(20)
torch.save(net.state_dict(), sys.argv[1])
"""
SHADOW = 'raise ImportError("servelens of the server, not of the archive")\n'


@pytest.fixture(scope="session")
def lens_store(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny.mar, touchy.mar, and stock.mar with the weights of the first."""
    parts, store = tmp_path_factory.mktemp("parts"), tmp_path_factory.mktemp("store")
    for net in ("tiny_net.py", "touchy_net.py"):
        shutil.copy(root / "tests" / "models" / net, parts)
    (parts / "tiny.toml").write_text(TINY)
    (parts / "touchy.toml").write_text(TOUCHY)
    (parts / "stock.py").write_text(STOCK)
    (parts / "index_to_name.json").write_text(json.dumps(dict(enumerate(LABELS))))
    subprocess.run([sys.executable, "-c", WEIGHTS, parts / "tiny.pt"], cwd=parts, check=True)
    weights = ("--model-file", parts / "stock.py", "--serialized-file", parts / "tiny.pt")
    extra = ("--extra-files", f"{parts / 'tiny_net.py'},{parts / 'index_to_name.json'}")
    pack(store, "stock", "--handler", "image_classifier", *weights, *extra)
    recipes = [load_recipe(parts / name) for name in ("tiny.toml", "touchy.toml")]
    with ThreadPoolExecutor(len(recipes)) as builders:
        list(builders.map(lambda recipe: build(recipe, store), recipes))
    return store


@pytest.fixture(scope="session")
def shadow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `servelens` that no worker may take for its archive's."""
    folder = tmp_path_factory.mktemp("shadow")
    (folder / "servelens").mkdir()
    (folder / "servelens" / "__init__.py").write_text(SHADOW)
    return folder


@pytest.fixture(scope="session")
def lens_server(
    lens_store: Path, shadow: Path, start_server: Callable[..., TorchServe]
) -> TorchServe:
    return start_server(
        lens_store,
        "tiny.mar",
        Model("tiny.mar", "rows", batch_size=4, batch_delay_ms=ROWS_DELAY_MS),
        "stock.mar",
        "touchy.mar",
        environ={"PYTHONPATH": str(shadow)},
    )


@pytest.fixture(scope="session")
def settled_lens(root: Path, lens_server: TorchServe) -> Lens:
    return Lens(lens_server, root / "docs" / "schemas")


@pytest.fixture(scope="session")
def known_pids(settled_lens: Lens) -> dict[str, list[int]]:
    return {model: settled_lens.pids(model) for model in MODELS}


@pytest.fixture
def lens(settled_lens: Lens, known_pids: dict[str, list[int]]) -> Iterator[Lens]:
    """Whatever a test does, all workers outlive it: each has the process that it had before."""
    yield settled_lens
    now = {model: settled_lens.pids(model) for model in MODELS}
    before = dict(known_pids)
    known_pids.update(now)
    assert now == before, "a worker died in this test"


@pytest.fixture
def guest(lens: Lens) -> Iterator[str]:
    """One more name for an archive, without a worker, so that it costs nothing."""
    lens.server.client.register("tiny.mar", GUEST, workers=0)
    yield GUEST
    if GUEST in lens.server.client.models():
        lens.server.client.unregister(GUEST)
