"""Documents with their tensors as arrays, as the codec reads them off the wire."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

HEAT = np.array([[0.0, 0.25], [0.5, 1.0]], np.float32)
CHANNELS = np.arange(3 * 2 * 2, dtype=np.float32).reshape(3, 2, 2)


def attribution(**changed: Any) -> dict[str, Any]:
    return {
        "method": "grad_cam",
        "layer": "stem",
        "target": {"index": 1, "label": "disc"},
        "signed": False,
        "map": HEAT,
        "params": {"relu": True},
        "convergence_delta": None,
        "trust": None,
        "image": None,
        "problem": None,
        **changed,
    }


def activation(**changed: Any) -> dict[str, Any]:
    return {
        "layer": "stem",
        "shape": [3, 2, 2],
        "statistics": {
            "mean": 5.5,
            "std": 3.6,
            "sparsity": 1 / 12,
            "max": 11.0,
            "min": 0,
            "active_channels": 3,
            "num_channels": 3,
            "spatial_size": [2, 2],
            "dead_channels": 0,
        },
        "channels": [{"index": i, "mean": float(CHANNELS[i].mean())} for i in range(3)],
        "maps": CHANNELS,
        "next": None,
        "problem": None,
        **changed,
    }


def document(**changed: Any) -> dict[str, Any]:
    return {
        "lens": 1,
        "id": None,
        "model": {"name": "shapes", "version": "1.0", "digest": "sha256:00"},
        "input": {"width": 8, "height": 4, "crop": [2, 0, 6, 4], "size": [2, 2]},
        "predictions": [{"index": 1, "label": "disc", "probability": 0.75, "logit": 2.0}],
        "activations": [activation()],
        "attributions": [attribution()],
        "cost": {"forwards": 1, "backwards": 1, "ms": {"compute": 2.5}},
        **changed,
    }


def photo() -> bytes:
    """Eight pixels by four, the left half black and the right half white."""
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 4:] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
