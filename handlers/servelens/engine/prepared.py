"""What the model sees of photos that somebody else prepares, such as an archive's own handler."""

from __future__ import annotations

import logging
from typing import Dict, Optional, Tuple

import numpy as np
from PIL import Image

from servelens.engine.budget import is_out_of_memory
from servelens.engine.decoding import decode, in_mode, orientation_of, upright
from servelens.engine.folder.card import InputSpec
from servelens.engine.geometry import View, backdrop_of
from servelens.engine.measuring import (
    Levels,
    Prepare,
    is_steady,
    measure_crop,
    measure_levels,
    plain_photo,
)
from servelens.protocol import InputRef, ProblemError, problem

logger = logging.getLogger(__name__)

# Width and height as shown, and the EXIF block's orientation.
Shape = Tuple[int, int, int]
Crop = Tuple[int, int, int, int]
# Of how many photos' shapes the crop is remembered; a shop's photos have few.
MOST_SHAPES = 256


class Prepared:
    """Sees as `prepare` does: the input is exactly what that gives. Where in the photo it looked is
    measured, once for photos of one shape."""

    def __init__(self, prepare: Prepare, max_pixels: int) -> None:
        self._prepare = prepare
        self._max_pixels = max_pixels
        self._crops: Dict[Shape, Optional[Crop]] = {}
        channels, height, width = prepare(plain_photo(128)).shape
        self.levels = self._measured_levels()
        known = self.levels or Levels((0.0,) * channels, (1.0,) * channels)
        self.spec = InputSpec(
            size=(height, width),
            resize=0,
            crop="none",
            channels=channels,
            mean=known.mean,
            std=known.std,
            prepared=True,
        )

    def __call__(self, photo: bytes, backdrop: bool) -> View:
        shape, shown = self._look_into(photo, backdrop)
        pixels = self._prepared(photo)
        crop = None if shape is None else self._crop(shape)
        if shape is None or crop is None:
            return View(pixels, None)
        ref = InputRef(shape[0], shape[1], crop, (pixels.shape[0], pixels.shape[1]))
        return View(pixels, ref, None if shown is None else backdrop_of(shown, crop))

    def _prepared(self, photo: bytes) -> np.ndarray:
        """[height, width, channels]."""
        try:
            return np.ascontiguousarray(self._prepare(photo).transpose(1, 2, 0))
        except ProblemError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            logger.info("the handler could not prepare an image", exc_info=error)
            raise problem(
                "bad_image",
                "the archive's own handler could not prepare the image for its model "
                f"({type(error).__name__})",
                hint="send one that it also predicts",
                where="image",
            ) from error

    def _look_into(
        self, photo: bytes, backdrop: bool
    ) -> Tuple[Optional[Shape], Optional[Image.Image]]:
        """The photo's shape, and the photo where it is to be drawn on. No shape where only the
        handler can tell what the bytes are."""
        found: Dict[str, Shape] = {}

        def read(opened: Image.Image) -> Image.Image:
            orientation = orientation_of(opened)
            sides = opened.size if orientation < 5 else opened.size[::-1]
            found["shape"] = (*sides, orientation)
            if backdrop:
                opened.load()
                return in_mode(upright(opened), "RGB")
            return opened

        try:
            shown = decode(photo, read, self._max_pixels)
        except ProblemError as error:
            if error.problem.type != "bad_image":
                raise
            return None, None
        return found["shape"], shown if backdrop else None

    def _measured_levels(self) -> Optional[Levels]:
        try:
            return measure_levels(self._prepare) if is_steady(self._prepare) else None
        except Exception as error:  # of a handler, for which our photos may be all wrong
            logger.info("how pixels are scaled could not be measured", exc_info=error)
            return None

    def _crop(self, shape: Shape) -> Optional[Crop]:
        if self.levels is None:
            return None
        if shape not in self._crops:
            if len(self._crops) >= MOST_SHAPES:
                self._crops.clear()
            self._crops[shape] = self._measured_crop(self.levels, *shape)
        return self._crops[shape]

    def _measured_crop(
        self, levels: Levels, width: int, height: int, orientation: int
    ) -> Optional[Crop]:
        try:
            return measure_crop(self._prepare, levels, width, height, orientation)
        except Exception as error:
            logger.info("where the model looks could not be measured", exc_info=error)
            return None
