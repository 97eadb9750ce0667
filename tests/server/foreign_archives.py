"""Archives that ServeLens did not build, as their owners had them before it came."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

MANIFEST = "MAR-INF/MANIFEST.json"
LABELS = ("disc", "square", "star", "cross", "ring", "moon")
ROWS_DELAY_MS = 300
CONFIG = f"""
# Somebody's own, with a section for their handler.
minWorkers: 1
maxWorkers: 1
batchSize: 4
maxBatchDelay: {ROWS_DELAY_MS}
responseTimeout: 90
mine:
  threshold: 0.05
"""
# Random weights, but so large that photos are told apart.
WEIGHTS = """
import sys, torch
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from colours import Colours
from resnet import Classifier
from tiny_net import TinyNet

def seeded(kind, *arguments, **options):
    torch.manual_seed(0)
    net = kind(*arguments, **options)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
        list(net.children())[-1].weight.mul_(20)
    return net.eval()

torch.save(seeded(Classifier).state_dict(), "resnet.pth")
torch.save(seeded(Colours).state_dict(), "colours.pth")
torch.save(seeded(TinyNet, 6, channels=1).state_dict(), "grey.pt")
torch.jit.script(seeded(TinyNet, 6)).save("scripted.pt")
"""


def with_manifest(source: Path, target: Path, **changed: str) -> None:
    """The same archive, with other keys of its model in the manifest."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(target, "w") as packed:
        for name in whole.namelist():
            content = whole.read(name)
            if name == MANIFEST:
                said = json.loads(content)
                said["model"].update(changed)
                content = json.dumps(said).encode()
            packed.writestr(name, content)


def make_foreign(root: Path, parts: Path, store: Path, pack: Callable[..., Path]) -> None:
    """stock: image_classifier and an eager ResNet-18. colours: a VisionHandler of its own, batches
    of four. scripted: image_classifier and TorchScript. function: a function for a handler."""
    models = root / "tests" / "models"
    foreign = models / "foreign"
    tiny = models / "tiny_net.py"
    subprocess.run([sys.executable, "-c", WEIGHTS, models, foreign], cwd=parts, check=True)
    names = parts / "index_to_name.json"
    twelve = {str(i): [f"n{i:08}", f"class {i}"] for i in range(12)}
    names.write_text(json.dumps(twelve))
    pack(
        store, "stock", "--handler", "image_classifier", "--extra-files", names,
        "--model-file", foreign / "resnet.py", "--serialized-file", parts / "resnet.pth",
    )  # fmt: skip
    names.write_text(json.dumps(dict(enumerate(LABELS))))
    pack(
        store, "scripted", "--handler", "image_classifier", "--extra-files", names,
        "--serialized-file", parts / "scripted.pt",
    )  # fmt: skip
    (parts / "config.yaml").write_text(CONFIG)
    (parts / "requirements.txt").write_text("numpy\n")
    (parts / "notes").mkdir()
    (parts / "notes" / "inner").mkdir()
    (parts / "notes" / "inner" / "read.me").write_text("theirs\n")
    pack(
        store, "colours", "--handler", foreign / "colour_handler.py",
        "--extra-files", f"{names},{tiny},{parts / 'notes'}",
        "--config-file", parts / "config.yaml",
        "--model-file", foreign / "colours.py", "--serialized-file", parts / "colours.pth",
        "--requirements-file", parts / "requirements.txt",
    )  # fmt: skip
    pack(
        store, "function", "--handler", f"{foreign / 'function_handler'}:handle",
        "--extra-files", f"{tiny},{parts / 'grey.pt'}",
    )  # fmt: skip
