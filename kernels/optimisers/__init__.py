"""The optimisers by name."""

from gru4rec_fast.kernels.optimisers.adagrad import ADAGRAD
from gru4rec_fast.kernels.optimisers.optimiser import Optimiser, Update

OPTIMISERS: dict[str, Optimiser] = {"adagrad": ADAGRAD}

__all__ = ["OPTIMISERS", "Optimiser", "Update"]
