"""The gradients of a step as its result: the trainer of an engine that updates nothing.

An engine hands every gradient to its optimiser. `Gradients` is one that keeps the gradient as its
state and leaves the parameter as it is. So an engine needs no second mode, and training in one
process is the same code as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from gru4rec_fast.reference import Optimiser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.engines.contract import Engine
    from gru4rec_fast.plan.block import StepBlock
    from gru4rec_fast.reference import Parameters
    from gru4rec_fast.spec import NetworkSpec


class Gradients(Optimiser):
    """No update: the state 'gradient' of a parameter, or of a row, is its last gradient.

    Args:
        config: the model's options.
        tensors: where the gradients are written, in the order of the parameters.
    """

    name = "gradient"
    states: ClassVar = {"gradient": "element"}

    def __init__(self, config: Config, tensors: Sequence[Tensor]) -> None:
        super().__init__(config)
        self.momentum, self.parameters = 0.0, ()
        given = iter(tensors)
        self.zeros = lambda _like, shape, _dtype: next(given).view(*shape)

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
        config: the model's options. Losses are divided by its `batch_size`.
        spec: the network with R items, room for the unique rows of a step.
        weights: name -> those beside the tables.
        gradients: name -> where the gradients are written, zeros at first: tables (R, columns), and
            the weights.
    """

    def __init__(
        self,
        engine: Engine,
        config: Config,
        spec: NetworkSpec,
        weights: Parameters,
        gradients: Parameters,
    ) -> None:
        dtype = gradients["Wy.weight"].dtype
        self.tables = {n: torch.zeros(shape, dtype=dtype) for n, shape in spec.tables.items()}
        """(R, columns), to be filled before a step."""
        p = {
            name: self.tables[name] if name in self.tables else weights[name] for name in gradients
        }
        self.support = torch.ones(spec.n_items, dtype=torch.int64)
        """(R,) events of each row's item, to be filled where the loss reads them."""
        optimiser = Gradients(config, list(gradients.values()))
        self.trainer = engine.trainer(spec, p, optimiser, config, self.support)
        self.gradients = gradients
        """After a step; rows that the step does not touch keep what they held."""

    def compute(self, step: StepBlock) -> Tensor:
        """A block of one step whose rows 0..U-1 are those of the tables; returns its loss (1,)."""
        return self.trainer.train_block(step)
