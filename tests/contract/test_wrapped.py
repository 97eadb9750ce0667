"""The handler of an instrumented archive, in a worker's Python half: handlers of every kind."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_net import TinyNet
from ts.utils.util import list_classes_from_module
from worker_fixtures.front_end import Broken, FrontEnd, form, load, raw
from worker_fixtures.photos import PHOTO

import instrumented_handler

HERE = Path(__file__).parent
PLAIN_CLASS = """
import io, json, os
import torch
from PIL import Image
from tiny_net import TinyNet
from torchvision.transforms.functional import to_tensor

class Plain:
    def initialize(self, context):
        self.told = context.manifest["model"]
        self.model = TinyNet(6).eval()

    def handle(self, data, context):
        self.seen = [context.get_request_header(i, "x-name") for i in range(len(data))]
        rows = [self.prepare(row.get("data") or row.get("body")) for row in data]
        with torch.inference_mode():
            return self.finish(self.model(torch.stack(rows)))

    def prepare(self, image):
        return to_tensor(Image.open(io.BytesIO(image)).convert("RGB").resize((32, 32)))

    def finish(self, output):
        return [{"best": row.argmax().item(), "n": len(output)} for row in output]
"""


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    yield Archive(tmp_path)
    sys.modules.pop("theirs", None)
    sys.path[:] = [entry for entry in sys.path if entry != str(tmp_path)]


class Archive:
    """A folder as TorchServe unpacks it, whose handler is `theirs.py`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(HERE.parent / "models" / "tiny_net.py", folder)
        (folder / "MAR-INF").mkdir()

    def served(self, code: str, handler: str = "theirs.py", **config: Any) -> FrontEnd:
        (self.folder / "theirs.py").write_text(code)
        original = {"model": {"modelName": "old", "handler": handler}}
        (self.folder / "MAR-INF" / "ORIGINAL-MANIFEST.json").write_text(json.dumps(original))
        sys.path.insert(0, str(self.folder))
        section = {"handler": handler, "activation": "softmax"}
        entry = Path(instrumented_handler.__file__).name
        return FrontEnd(load(self.folder, config, handler=entry, servelens=section))


def lens_of(front_end: FrontEnd) -> Any:
    return front_end.service._entry_point.__self__


def changed(old: str, new: str) -> str:
    assert old in PLAIN_CLASS
    return PLAIN_CLASS.replace(old, new)


def test_the_entry_defines_exactly_one_class_and_leaves_the_path_as_it_was() -> None:
    assert list_classes_from_module(instrumented_handler) == [instrumented_handler.Instrumented]
    assert not hasattr(instrumented_handler, "handle")
    path = list(sys.path)
    importlib.reload(instrumented_handler)
    assert sys.path == path


def test_a_class_of_nobodys_is_explained(archive: Archive) -> None:
    front_end = archive.served(PLAIN_CLASS)
    assert front_end.ask(raw(PHOTO)).json["n"] == 1
    document = front_end.ask(form(PHOTO, explain="grad_cam,saliency")).json
    assert [one["problem"] for one in document["attributions"]] == [None, None]
    assert document["input"]["size"] == [32, 32]


def test_the_handler_is_told_what_it_was_told(archive: Archive) -> None:
    front_end = archive.served(PLAIN_CLASS)
    handler = lens_of(front_end).original.handle.__self__
    assert handler.told == {"modelName": "old", "handler": "theirs.py"}
    plain = [raw(PHOTO, **{"x-name": name}) for name in "ac"]
    asked = form(PHOTO, explain="saliency")
    first, document, last = front_end.send(plain[0], asked, plain[1])
    assert (first.json["n"], last.json["n"]) == (2, 2)
    assert document.json["lens"] == 1
    front_end.send(*plain)
    assert handler.seen == ["a", "c"]


def test_neighbours_keep_their_headers_beside_the_lens(archive: Archive) -> None:
    front_end = archive.served(PLAIN_CLASS)
    handler = lens_of(front_end).original.handle.__self__
    seen: list[list[str]] = []
    finish = handler.finish
    handler.finish = lambda output: seen.append(handler.seen) or finish(output)
    plain = [raw(PHOTO, **{"x-name": name}) for name in "ac"]
    front_end.send(plain[0], form(PHOTO, explain="saliency"), plain[1])
    assert seen == [["a", "c"]], "one batch of plain rows, and no prediction for the lens"


def test_the_lens_leaves_nothing_on_the_handlers_model(archive: Archive) -> None:
    front_end = archive.served(PLAIN_CLASS)
    model = lens_of(front_end).original.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layout = [weights.stride() for weights in model.parameters()]
    asked = form(PHOTO, explain="grad_cam,occlusion,deep_lift", activations="true", trust="full")
    assert front_end.ask(asked).json["lens"] == 1
    front_end.ask(form(b"no picture", explain="saliency"))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert [weights.stride() for weights in model.parameters()] == layout
    assert all(weights.requires_grad for weights in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert not torch.nn.modules.module._global_forward_pre_hooks


FUNCTION = """
from theirs_inner import Plain
service = Plain()
ready = False

def handle(data, context):
    global ready
    if not ready:
        service.initialize(context)
        ready = True
    return None if data is None else service.handle(data, context)
"""


@pytest.mark.parametrize("handler", ["theirs.py", "theirs", "theirs:handle", "there/theirs.py"])
def test_a_function_over_an_object_is_explained(archive: Archive, handler: str) -> None:
    (archive.folder / "theirs_inner.py").write_text(PLAIN_CLASS)
    try:
        front_end = archive.served(FUNCTION, handler)
        assert front_end.ask(form(PHOTO, explain="saliency")).json["lens"] == 1
        assert front_end.ask(raw(PHOTO)).json["n"] == 1
    finally:
        sys.modules.pop("theirs_inner", None)


def test_a_model_of_another_name_is_found(archive: Archive) -> None:
    front_end = archive.served(PLAIN_CLASS.replace("self.model", "self.net"))
    assert front_end.ask(form(PHOTO, explain="saliency")).json["lens"] == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using `torch.compile")
def test_a_compiled_model_is_looked_into(archive: Archive) -> None:
    compiled = "torch.compile(TinyNet(6).eval(), backend='eager')"
    front_end = archive.served(changed("TinyNet(6).eval()", compiled))
    assert front_end.ask(raw(PHOTO)).json["n"] == 1
    document = front_end.ask(form(PHOTO, explain="grad_cam")).json
    assert document["attributions"][0]["problem"] is None


UNFIT = {
    "none at all": (
        changed("        self.model = TinyNet(6).eval()\n", "        global model\n"),
        "the handler keeps no PyTorch module; it has to keep its model as self.model",
    ),
    "several": (
        changed("self.model = TinyNet(6).eval()", "self.a, self.b = TinyNet(6), TinyNet(6)"),
        "the handler keeps several models, none of them as 'model': a, b",
    ),
    "not called": (
        changed("self.model(torch.stack(rows))", "self.model.forward(torch.stack(rows))"),
        "answers this photo without calling its model as self.model(...)",
    ),
    "two tensors": (
        changed("self.model(torch.stack(rows))", "self.model(torch.stack(rows), torch.ones(1))"),
        "calls its model with torch.float32 [1, 3, 32, 32], torch.float32 [1], not with one",
    ),
    "several rows": (
        changed("self.model(torch.stack(rows))", "self.model(torch.stack(rows * 5))[:1]"),
        "calls its model with torch.float32 [5, 3, 32, 32], not with one tensor of floats",
    ),
    "integers": (
        changed("self.model(torch.stack(rows))", "self.model(torch.stack(rows).long())"),
        "calls its model with torch.int64 [1, 3, 32, 32]",
    ),
    "not a photo": (
        changed("Image.open(io.BytesIO(image))", "Image.open(image['path'])"),
        "its own handler cannot prepare a plain photo (TypeError)",
    ),
    "no classes": (
        changed("TinyNet(6).eval()", "torch.nn.Conv2d(3, 2, 1)"),
        "The model returns the shape [2, 2, 32, 32] for 2 images, not [2, classes]",
    ),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_cannot_be_looked_into_says_why_and_goes_on_predicting(
    archive: Archive, kind: str
) -> None:
    code, said = UNFIT[kind]
    front_end = archive.served(code)
    told = front_end.ask(form(PHOTO, explain="saliency"))
    assert (told.status, told.json["type"]) == (500, "internal")
    assert said in told.json["message"]
    assert told.json["hint"] == "its predictions are answered as they were before"
    assert front_end.ask(form(describe="true")).json["message"] == told.json["message"]
    if kind in ("several rows", "not called"):
        assert front_end.ask(raw(PHOTO)).json["n"]


def test_a_handler_that_cannot_start_fails_as_it_did(archive: Archive) -> None:
    raises = "raise RuntimeError('no weights here')"
    with pytest.raises(RuntimeError, match="^no weights here$"):
        archive.served(changed("self.model = TinyNet(6).eval()", raises))


def test_wrong_settings_cost_the_lens_alone(archive: Archive) -> None:
    front_end = archive.served(PLAIN_CLASS, servelens={"respons_bytes": 1})
    assert front_end.ask(raw(PHOTO)).json["n"] == 1
    assert front_end.ask(form(PHOTO, explain="saliency")).status == 500


FAILURES = {
    "an error": ("raise ValueError('x')", 503, "Prediction failed"),
    "cuda": ("raise RuntimeError('CUDA error')", 507, "Out of resources"),
    "memory": ("raise MemoryError()", 507, "Out of resources"),
    "its own words": (
        "from ts.utils.util import PredictionException; raise PredictionException('busy', 429)",
        429,
        "busy",
    ),
    "no list": ("return 'text'", 503, "Invalid model predict output"),
    "too few": ("return []", 503, "number of batch response mismatched"),
    "no data": ("return [object()] * len(data)", 503, "Unsupported model output data type."),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_batch_that_fails_costs_the_lens_s_rows_nothing(archive: Archive, kind: str) -> None:
    """With no lens row beside them TorchServe itself says so, for the whole batch."""
    code, status, message = FAILURES[kind]
    failing = f"if context.get_request_header(0, 'x-name'):\n            {code}"
    code_of = changed("self.seen =", f"{failing}\n        self.seen =")
    front_end = archive.served(code_of)
    plain = raw(PHOTO, **{"x-name": "a"})
    refused, document = front_end.send(plain, form(PHOTO, explain="saliency"))
    assert document.json["lens"] == 1
    assert (refused.status, refused.content_type) == (status, "application/json")
    told = {"code": status, "type": "InternalServerException", "message": message}
    assert refused.body.decode() == json.dumps(told, indent=2) + "\n"
    with pytest.raises(Broken) as whole:
        front_end.ask(plain)
    assert str(status) in str(whole.value)
    assert message in str(whole.value)


def test_answers_of_every_kind_go_out_as_torchserve_sends_them(archive: Archive) -> None:
    kinds = "[{'a': 1.5}, 'text', b'bytes', [1, 2], torch.ones(2)]"
    front_end = archive.served(changed("return self.finish(", f"return {kinds}\n        ("))
    plain = [raw(PHOTO)] * 5
    beside = front_end.send(*plain, form(PHOTO, explain="saliency"))
    alone = front_end.send(*plain)
    assert [one.body for one in beside[:5]] == [one.body for one in alone]
    assert beside[0].body == b'{\n  "a": 1.5\n}'


def test_the_digest_is_of_the_whole_archive(archive: Archive) -> None:
    front_end = archive.served(PLAIN_CLASS)
    first = front_end.ask(form(describe="true")).json["model"]
    assert first["digest"].startswith("sha256:")
    assert first["architecture"] == TinyNet.__name__
