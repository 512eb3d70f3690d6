"""The cells by the names of `spec.CELLS`."""

from gru4rec_fast.kernels.cells.gru_reset_after import GRUResetAfter
from gru4rec_fast.kernels.cells.gru_reset_before import GRUResetBefore
from gru4rec_fast.kernels.cells.layer import Layer

CELLS: dict[str, type[Layer]] = {
    "gru-reset-after": GRUResetAfter,
    "gru-reset-before": GRUResetBefore,
}

__all__ = ["CELLS", "Layer"]
