"""Optimisers: the state of every parameter, and the update of dense parameters and touched rows.

Of an item table only the rows that a step touched are updated, their accumulators and momenta
too (spec section 6); the gradient of a row comes in already summed over its occurrences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gru4rec_fast import ops

if TYPE_CHECKING:
    from gru4rec_fast.config import Config
    from gru4rec_fast.reference import Gradient, Parameters


class Adagrad:
    """Adagrad with momentum (`reference.adagrad`).

    `accumulators[name]` and, with momentum > 0, `momenta[name]` have the parameter's shape.
    """

    def __init__(self, p: Parameters, config: Config) -> None:
        self.learning_rate = config.learning_rate
        self.momentum = config.momentum
        self.accumulators = {name: torch.zeros_like(value) for name, value in p.items()}
        self.momenta: dict[str, Tensor] = {}
        if self.momentum > 0:
            self.momenta = {name: torch.zeros_like(value) for name, value in p.items()}
        for tables in (p, self.accumulators, self.momenta):
            for table in tables.values():
                ops.settle(table)

    def apply(self, p: Parameters, gradients: dict[str, Gradient]) -> None:
        """Update the parameters in place; no other row than the gradients' is read or written."""
        for name, gradient in gradients.items():
            ops.adagrad(
                p[name],
                self.accumulators[name],
                self.momenta.get(name),
                gradient,
                self.learning_rate,
                self.momentum,
            )
