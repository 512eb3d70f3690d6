"""Settings of all tests."""

import torch

# Two threads spin against each other when something else runs on a small machine; bit-equality
# over thread counts has tests of its own.
torch.set_num_threads(1)
