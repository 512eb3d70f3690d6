"""The optimisers by name."""

from gru4rec_fast.kernels.optimisers.adadelta import ADADELTA
from gru4rec_fast.kernels.optimisers.adagrad import ADAGRAD
from gru4rec_fast.kernels.optimisers.adagrad_rowwise import ADAGRAD_ROWWISE
from gru4rec_fast.kernels.optimisers.adam import ADAM
from gru4rec_fast.kernels.optimisers.optimiser import Optimiser, Update
from gru4rec_fast.kernels.optimisers.rmsprop import RMSPROP
from gru4rec_fast.kernels.optimisers.sgd import SGD

OPTIMISERS: dict[str, Optimiser] = {
    "sgd": SGD,
    "adagrad": ADAGRAD,
    "adagrad-rowwise": ADAGRAD_ROWWISE,
    "rmsprop": RMSPROP,
    "adadelta": ADADELTA,
    "adam": ADAM,
}

__all__ = ["OPTIMISERS", "Optimiser", "Update"]
