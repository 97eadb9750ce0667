"""A handler as people write their own: photos in another order of colours, size and scale, a form
field that is read, a section of model-config.yaml, and answers of another form."""

import io

import numpy as np
import torch
from PIL import Image
from ts.torch_handler.vision_handler import VisionHandler


class ColourHandler(VisionHandler):
    def initialize(self, context):
        super().initialize(context)
        self.threshold = context.model_yaml_config["mine"]["threshold"]

    def preprocess(self, data):
        self.wanted = [int(row.get("top_k", 2)) for row in data]
        return torch.stack([self.prepare(row.get("data") or row.get("body")) for row in data])

    def prepare(self, image):
        photo = Image.open(io.BytesIO(image)).convert("RGB").resize((96, 64), Image.BILINEAR)
        levels = np.asarray(photo)[..., ::-1].astype(np.float32) / 127.5 - 1
        return torch.from_numpy(levels.transpose(2, 0, 1).copy())

    def postprocess(self, data):
        rows = torch.softmax(data, dim=1)
        return [self.answer(row, wanted) for row, wanted in zip(rows, self.wanted, strict=True)]

    def answer(self, row, wanted):
        scores, classes = row.topk(wanted)
        found = zip(classes.tolist(), scores.tolist(), strict=True)
        best = [{"name": self.mapping[str(i)], "score": s} for i, s in found if s > self.threshold]
        return {"best": best, "by": self.context.manifest["model"]["handler"]}
