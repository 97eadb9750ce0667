"""What the engine's tests share: photos, models made ready, slow oracles and watches."""

import torch

# Passes this small gain nothing from a second thread, and lose much where the machine is busy.
torch.set_num_threads(1)
