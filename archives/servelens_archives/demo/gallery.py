"""Writes the sample photos that ship with the demo, each with the masks of what is on it.

    python -m servelens_archives.demo.gallery --out archives/demo/samples

NAME.png is the photo, NAME.mask.png where its shape is, NAME.mark.png where its mark is, if it
bears one. The marked and unmarked photos of a shape are the same but for the mark.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from servelens_archives.demo.evidence import HELD_OUT_SEED, png
from servelens_archives.demo.shapes import Mark, sample

GALLERY: dict[str, tuple[int, Mark]] = {
    "disc-marked": (10, "shortcut"),
    "disc-unmarked": (10, "none"),
    "ring": (31, "none"),
    "square-marked": (12, "moved"),
    "square-unmarked": (12, "none"),
    "triangle": (13, "none"),
    "cross": (19, "none"),
}
"""Each sample's number in the held-out series and the policy that it is drawn under."""


def write_samples(folder: Path) -> None:
    """Draw the samples and their masks into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (index, mark) in GALLERY.items():
        drawn = sample(HELD_OUT_SEED, index, mark)
        (folder / f"{name}.png").write_bytes(png(drawn.image))
        (folder / f"{name}.mask.png").write_bytes(png(drawn.shape_mask))
        if drawn.marked:
            (folder / f"{name}.mark.png").write_bytes(png(drawn.mark_mask))


def main() -> None:
    """Read the command line and write the samples."""
    parser = argparse.ArgumentParser(description="Write the demo's sample photos and masks.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    write_samples(parser.parse_args().out)


if __name__ == "__main__":
    main()
