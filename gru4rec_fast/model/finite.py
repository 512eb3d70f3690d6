"""Whether a model's parameters mean anything: a training that diverged leaves NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from gru4rec_fast.reference import Parameters


def require_finite(parameters: Parameters) -> None:
    """Refuse parameters whose scores would mean nothing.

    Raises:
        ArithmeticError: one holds NaN or infinity.
    """
    for name, parameter in parameters.items():
        if not torch.isfinite(parameter).all():
            raise ArithmeticError(
                f"the model's {name} holds NaN or infinity; expected finite weights. "
                "Train it again with a lower learning_rate"
            )
