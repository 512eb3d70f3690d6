"""Whether a model's parameters mean anything: a training that diverged leaves NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.reference import Parameters


def require_finite(parameters: Parameters) -> None:
    """Refuse parameters whose scores would mean nothing.

    Raises:
        ArithmeticError: one holds NaN or infinity.
    """
    for name, parameter in parameters.items():
        if not _is_finite(parameter):
            raise ArithmeticError(
                f"the model's {name} holds NaN or infinity; expected finite weights. "
                "Train it again with a lower learning_rate"
            )


def _is_finite(x: Tensor) -> bool:
    if x.device.type != "cpu":
        return bool(torch.isfinite(x).all())
    # Without PyTorch, which may share such work among threads: in a process forked from one that
    # did, it would wait for threads that are not there.
    values = x.detach().numpy()
    # In shares of some rows, because NumPy makes an array of the answers.
    rows = max(1, 2**16 // max(1, values[:1].size))
    return all(np.isfinite(values[r : r + rows]).all() for r in range(0, len(values), rows))
