"""The entry of an archive that was instrumented: TorchServe imports this file, takes its one class,
and gets the archive's own handler with a lens beside it.

Our package is found first in this folder, and only while it is imported: what the archive's own
code finds, it finds where it did before.
"""

import sys
from pathlib import Path

HERE = str(Path(__file__).resolve().parent)
sys.path.insert(0, HERE)

try:
    from servelens.torchserve.wrapped import WrappedHandler
except ImportError as error:
    # TorchServe takes an ImportError for a wrong handler name and hides what was not found; after a
    # RuntimeError it keeps the model that did not start.
    raise Exception(f"the lens of this archive cannot be imported: {error}") from error
finally:
    sys.path.remove(HERE)


class Instrumented(WrappedHandler):
    """TorchServe wants exactly one class that is defined in this very module."""
