"""Run TorchServe on this machine: its real Java front end, started, watched and ended by us.

What people (``scripts/serve``), the demo, the benchmarks and the tests use. It needs the ``server``
extra, and imports neither torch nor ts itself: those run in the server's workers.
"""

from servelens.local.dashboard import Dashboard
from servelens.local.errors import LocalError, ModelFailed
from servelens.local.model import Model
from servelens.local.ports import Ports
from servelens.local.torchserve import TorchServe

__all__ = ["Dashboard", "LocalError", "Model", "ModelFailed", "Ports", "TorchServe"]
