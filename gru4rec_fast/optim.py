"""Optimisers: the state of every parameter, and the update of dense parameters and touched rows.

Of an item table only the rows that a step touched are updated, their accumulators and momenta
too (spec section 6); the gradient of a row comes in already summed over its occurrences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gru4rec_fast import ops

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.reference import Gradient, Parameters


class Adagrad:
    """Adagrad with momentum (`reference.adagrad`).

    `accumulators[name]` and, with momentum > 0, `momenta[name]` have the parameter's shape.

    Args:
        p: parameters by name.
        config: of it the learning rate and the momentum.
        side_by_side: whether accumulator and momentum of a row lie together, so that they are on
            one page of memory: to find a page costs a processor as much as to read the row. The GPU
            kernels want each contiguous. By default it is so for parameters on a CPU.
    """

    def __init__(self, p: Parameters, config: Config, *, side_by_side: bool | None = None) -> None:
        self.learning_rate = config.learning_rate
        self.momentum = config.momentum
        self.accumulators: dict[str, Tensor] = {}
        self.momenta: dict[str, Tensor] = {}
        for name, value in p.items():
            together = value.device.type == "cpu" if side_by_side is None else side_by_side
            kind = int(together and value.dim() == 2)  # the dimension that tells the two apart
            shape = list(value.shape)
            shape.insert(kind, 2 if self.momentum > 0 else 1)
            state = value.new_zeros(shape)
            ops.settle(value)
            ops.settle(state)
            self.accumulators[name] = state.select(kind, 0)
            if self.momentum > 0:
                self.momenta[name] = state.select(kind, 1)

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
