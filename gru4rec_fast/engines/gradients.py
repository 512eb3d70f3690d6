"""The gradients of a step as its result: the trainer of an engine that updates nothing.

An engine hands every gradient to its optimiser. `Gradients` is one that keeps the gradient as its
state and leaves the parameter as it is. So an engine needs no second mode, and training in one
process is the same code as before.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import torch

from gru4rec_fast.reference import Optimiser
from gru4rec_fast.spec import NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.engines.contract import Engine
    from gru4rec_fast.plan.block import StepBlock


class Gradients(Optimiser):
    """No update: the state 'gradient' of a parameter, or of a row, is its last gradient."""

    name = "gradient"
    states: ClassVar = {"gradient": "element"}

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.momentum, self.parameters = 0.0, ()

    def scaled(self, g: Tensor, state: Sequence[Tensor]) -> Tensor:  # noqa: ARG002
        """`Optimiser.scaled`."""
        return g

    def update(self, theta: Tensor, state: Sequence[Tensor], g: Tensor) -> None:  # noqa: ARG002
        """`Optimiser.update`."""
        state[0].copy_(g)


class GradientStep:
    """Computes the gradients of steps from tables that hold only the rows of one step.

    Args:
        engine: what computes; its `supports` has said that it trains such a model.
        config: the model's options. Losses are divided by its `batch_size`, and `seed` is that of
            the dropout masks.
        rows: R, room for the unique rows of a step.
        dtype: of parameters and gradients.
    """

    def __init__(self, engine: Engine, config: Config, rows: int, dtype: torch.dtype) -> None:
        spec = NetworkSpec.of(config, rows)
        self.p = {name: torch.zeros(shape, dtype=dtype) for name, shape in spec.parameters.items()}
        """The parameters, to be filled before a step: tables (R, columns), and the weights."""
        self.support = torch.ones(rows, dtype=torch.int64)
        """(R,) events of each row's item, to be filled where the loss reads them."""
        self.trainer = engine.trainer(spec, self.p, Gradients(config), config, self.support)
        self.gradients = self.trainer.optimiser_state["gradient"]
        """As `p`, after a step; rows that the step does not touch hold no gradient."""

    def compute(self, block: StepBlock, t: int) -> Tensor:
        """Step t of a block whose rows 0..U-1 are those of the tables; returns its loss (1,)."""
        return self.trainer.train_block(one_step(block, t))


def one_step(block: StepBlock, t: int) -> StepBlock:
    """Step t of a block as a block of its own, of views."""
    cut = {
        field.name: getattr(block, field.name)[t : t + 1]
        for field in dataclasses.fields(block)
        if field.name != "first_step"
    }
    return dataclasses.replace(block, first_step=block.first_step + t, **cut)
