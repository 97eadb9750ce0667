"""An instrumented archive brought up once as its worker will, without a front end.

    python -P -m servelens.torchserve.rehearsal FOLDER PHOTO REPORT

Runs the archive's own code, and is therefore a process of its own. Writes what was seen as JSON
to REPORT, and the capability document into the folder, so that workers need not survey again.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from servelens.engine.folder.card import CAPABILITY_FILE
from servelens.protocol import Document, Problem, Request
from servelens.torchserve.original import ASKED_PLAINLY, context_for
from servelens.torchserve.plainly import encoded

HANDLER = "instrumented_handler.py"
# Of a probability: as another thread count or batch size may round it.
SAME = 1e-3


class Failed(Exception):
    """What the worker would meet, as one sentence."""


def main(folder: Path, photo: Path, report: Path) -> int:
    try:
        said: Dict[str, Any] = {"result": rehearse(folder, photo.read_bytes())}
    except Failed as error:
        said = {"problem": str(error)}
    except Exception as error:  # of the archive's own code, which its owner is told as it is
        said = {"problem": f"{type(error).__name__}: {error}"}
    report.write_text(json.dumps(said), encoding="utf-8")
    return 0 if "result" in said else 1


def rehearse(folder: Path, photo: bytes) -> Dict[str, Any]:
    service = load(folder)
    handler = service._entry_point.__self__
    if handler.lens is None:
        raise Failed(_why(handler))
    context = context_for(service.context, {0: ASKED_PLAINLY})
    (plain,) = encoded(handler.original.handle([{"body": photo}], context), 1)
    explained = _answered(handler.lens, Request(image=photo, explain=None))
    capability = handler.lens.describe()
    text = json.dumps(capability, indent=1, ensure_ascii=False, sort_keys=True, allow_nan=False)
    (folder / CAPABILITY_FILE).write_text(text + "\n", encoding="utf-8")
    methods = capability["methods"]
    return {
        "layers": len(capability["layers"]),
        "default_layer": capability["default_layer"],
        "classes": capability["output"]["classes"],
        "parameters": capability["model"]["parameters"],
        "architecture": capability["model"]["architecture"],
        "size": capability["input"]["size"],
        "supported": [entry["name"] for entry in methods if entry["supported"]],
        "refused": {entry["name"]: entry["reason"] for entry in methods if not entry["supported"]},
        "places": explained.input is not None,
        "warnings": [*capability["warnings"], *_differences(plain, explained)],
    }


def load(folder: Path) -> Any:
    """The worker's service on the folder, by TorchServe's own loader."""
    import ts
    from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl
    from ts.model_loader import TsModelLoader

    with warnings.catch_warnings():
        # TorchServe leaves closing the file to Python.
        warnings.simplefilter("ignore", ResourceWarning)
        configured = Path(ts.__file__).parent / "configs" / "metrics.yaml"
        metrics = MetricsCacheYamlImpl(config_file_path=str(configured))
    metrics.initialize_cache()
    metrics.model_name = "rehearsal"
    return TsModelLoader().load("rehearsal", str(folder), HANDLER, None, 1, metrics_cache=metrics)


def _why(handler: Any) -> str:
    """With what the archive's own code raised, which its callers are never told."""
    reason = handler.why_no_lens
    cause = reason.__cause__
    raised = "" if cause is None else f" ({type(cause).__name__}: {cause})"
    return f"its model cannot be looked into: {reason}{raised}"


def _answered(lens: Any, request: Request) -> Document:
    (answer,) = lens.run([request])
    if isinstance(answer, Problem):
        raise Failed(f"the model was loaded, but not explained: {answer.words}")
    assert isinstance(answer, Document)
    return answer


def _differences(plain: Any, document: Document) -> List[str]:
    """Whether the lens reads the model's answer as the handler does, where that can be told."""
    told = _probabilities(plain)
    if told is None:
        return [
            "The handler's answer is no list of classes with their probabilities, so that the "
            "probabilities of lens documents could not be compared with it."
        ]
    ours = {one.label: one.probability for one in document.predictions}
    common = ours.keys() & told.keys()
    if common and all(math.isclose(ours[name], told[name], abs_tol=SAME) for name in common):
        return []
    return [
        "The handler's probabilities are not those of lens documents, which read the model's "
        "output by the activation given; see servelens instrument --help."
    ]


def _probabilities(plain: Any) -> Optional[Mapping[str, float]]:
    """Of an answer of the form {"label": 0.98, ...}."""
    try:
        value = json.loads(plain)
    except (TypeError, ValueError):
        return None
    if not isinstance(value, dict) or not value:
        return None
    numbers = all(isinstance(one, (int, float)) for one in value.values())
    return value if numbers else None


if __name__ == "__main__":
    sys.exit(main(*(Path(argument) for argument in sys.argv[1:])))
