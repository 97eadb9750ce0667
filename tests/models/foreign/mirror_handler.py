"""A handler that turns photos left to right for its model: what that sees is no rectangle of the
photo as it is shown, and where it looks is not known."""

import io

import numpy as np
import torch
from PIL import Image, ImageOps
from ts.torch_handler.vision_handler import VisionHandler


class MirrorHandler(VisionHandler):
    def preprocess(self, data):
        return torch.stack([self.prepare(row.get("data") or row.get("body")) for row in data])

    def prepare(self, image):
        photo = ImageOps.mirror(Image.open(io.BytesIO(image)).convert("RGB"))
        levels = np.asarray(photo.resize((96, 64), Image.BILINEAR)).astype(np.float32) / 255
        return torch.from_numpy(levels.transpose(2, 0, 1).copy())

    def postprocess(self, data):
        return torch.softmax(data, dim=1).argmax(dim=1).tolist()
