"""The optimisers: what a parameter's gradient does to it, for whole parameters and touched rows.

Of an item table a step updates the touched rows only, their optimiser state too (SPEC section 6).
A row's gradient comes in summed over its occurrences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gru4rec_fast.config import Config

ADAGRAD_EPSILON = 1e-6


class Optimiser(Protocol):
    """An optimiser with its settings. The state of a parameter belongs to whoever trains it."""

    name: str
    """By which engines know it."""

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the tensors, each of the parameter's shape, that it keeps for a parameter."""

    def update(self, theta: Tensor, state: Sequence[Tensor], g: Tensor) -> None:
        """Update theta and its state, zeros at first, in place by the gradient g of its shape."""


def adagrad(
    theta: Tensor, a: Tensor, m: Tensor | None, g: Tensor, learning_rate: float, momentum: float
) -> None:
    """Adagrad with momentum, in place: a += g^2; m = mu m - eta g / sqrt(a + eps); theta += m."""
    a += g**2
    update = -learning_rate * g / torch.sqrt(a + ADAGRAD_EPSILON)
    if m is not None:
        m *= momentum
        m += update
        update = m
    theta += update


class Adagrad:
    """Adagrad with momentum (`adagrad`) by the learning rate and momentum of `config`."""

    name = "adagrad"

    def __init__(self, config: Config) -> None:
        self.learning_rate = config.learning_rate
        self.momentum = config.momentum

    @property
    def state_names(self) -> tuple[str, ...]:
        """The accumulator and, with momentum, the last update."""
        return ("accumulator", "momentum") if self.momentum > 0 else ("accumulator",)

    def update(self, theta: Tensor, state: Sequence[Tensor], g: Tensor) -> None:
        """`adagrad`, in place."""
        m = state[1] if self.momentum > 0 else None
        adagrad(theta, state[0], m, g, self.learning_rate, self.momentum)


OPTIMISERS: dict[str, type[Adagrad]] = {"adagrad": Adagrad}


def update_rows(
    optimiser: Optimiser, theta: Tensor, state: Sequence[Tensor], rows: Tensor, g: Tensor
) -> None:
    """Update the unique `rows` (U,) of a table (V, H) by their summed gradients g (U, H).

    No other row of the table or of its state is read or written.
    """
    tables = [theta, *state]
    theta_rows, *state_rows = (table[rows] for table in tables)
    optimiser.update(theta_rows, state_rows, g)
    for table, updated in zip(tables, [theta_rows, *state_rows], strict=True):
        table[rows] = updated
