"""The entry that an archive is built with: TorchServe imports this file and takes its one class.

The server's own PYTHONPATH comes before the archive's folder, so this folder is put first: the
archive runs the code it was built with, whatever else is installed.
"""

import sys
from pathlib import Path

HERE = str(Path(__file__).resolve().parent)
sys.path[:] = [HERE, *(entry for entry in sys.path if entry != HERE)]

try:
    from servelens.torchserve.handler import LensHandler
except ImportError as error:
    # TorchServe takes an ImportError for a wrong handler name and hides what was not found; after a
    # RuntimeError it keeps the model that did not start.
    raise Exception(f"the archive's code cannot be imported: {error}") from error


class ServeLens(LensHandler):
    """TorchServe wants exactly one class that is defined in this very module."""
