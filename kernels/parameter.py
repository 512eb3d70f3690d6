"""A parameter with its optimiser state, as one argument of a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Parameter(NamedTuple):
    """A parameter and the state that its optimiser keeps for it.

    Triton passes a named tuple as one argument for each tensor. In a kernel `theta` and `state[i]`
    are pointers, and `len(state)` is known at compile time.
    """

    theta: Tensor
    """Values, float32, contiguous."""
    state: tuple[Tensor, ...] = ()
    """The optimiser's state tables in its order; each has the shape of theta, or one number a row:
    (V, 1) of a table, (n,) of a vector."""

    def part(self, elements: slice) -> Parameter:
        """The given elements of the first dimension; the storage is shared."""
        return Parameter(self.theta[elements], tuple(table[elements] for table in self.state))
