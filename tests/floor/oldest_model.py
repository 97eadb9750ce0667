"""Run on the oldest stack: writes a model folder, and beside it what is answered of it there.

python oldest_model.py FOLDER PHOTO
"""

import json
import shutil
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent / "handlers"), str(TESTS / "models")]

import torch  # noqa: E402
from tiny_net import TinyNet  # noqa: E402

from servelens import codec  # noqa: E402
from servelens.engine.folder.card import (  # noqa: E402
    CAPABILITY_FILE,
    Card,
    InputSpec,
    ModelSource,
    OutputSpec,
)
from servelens.engine.folder.loading import load_module, write_weights  # noqa: E402
from servelens.engine.session import Session, survey_model  # noqa: E402
from servelens.protocol import read_request  # noqa: E402

KEYS = {
    "explain": ["grad_cam", "saliency", "deep_lift", "lrp", "integrated_gradients", "smooth_grad"],
    "activations": ["*"],
    "weights": ["stem"],
    "receptive_field": {"layer": "last", "channel": 3},
    "rank_channels": {"layer": "last"},
    "target": "top:2",
}


def main() -> None:
    folder, photo = map(Path, sys.argv[1:])
    torch.manual_seed(0)
    module = TinyNet(3)
    shutil.copy(TESTS / "models" / "tiny_net.py", folder)
    card = Card(
        "old",
        model=ModelSource(file="tiny_net.py", class_name="TinyNet", num_classes=3),
        input=InputSpec(size=(32, 32), resize=36),
        output=OutputSpec(labels=("disc", "square", "star")),
    )
    card.save(folder)
    write_weights(folder / "weights.npz", module.state_dict())
    capability = survey_model(load_module(folder, card), card)
    (folder / CAPABILITY_FILE).write_text(json.dumps(capability), encoding="utf-8")
    (answer,) = Session.load(folder).run([read_request(KEYS, photo.read_bytes())])
    packed = codec.pack_json(answer, "float32")
    (folder.parent / "answer.json").write_bytes(codec.write_json(packed))


if __name__ == "__main__":
    main()
