"""The learning rate of each step, by how much of the training is done.

Letters: η learning rate, E epochs of the training, P pairs (input, target) of an epoch, n pairs
trained before the step, m pairs of the step. x = n / P is the number of epochs before the step.

    rate = η · min(1, (n + m) / (P · lr_warmup)) · lr_decay^⌊x⌋ · shape(s)
    s = (x - lr_warmup) / (E - lr_warmup), at least 0: the share of the rest that is done
    shape(s) = 1                                                    constant
               f + (1 - f) (1 - s)                                  linear; f is lr_final
               f + (1 - f) (1 + cos(π s)) / 2                       cosine (Loshchilov & Hutter)

The cosine is that of Loshchilov & Hutter (2017, equation 5), the warm-up that of Goyal et al.
(2017, section 2.2). A rate is computed in float64 from whole numbers alone. So it depends neither
on the length of blocks, nor on where a training was resumed. An update starts the schedule anew,
over its own epochs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.config import Config


@dataclass(frozen=True)
class Schedule:
    """The learning rates of one training.

    Raises:
        ParameterError: the warm-up is longer than the training.
    """

    config: Config
    base: float
    """η, as the optimiser takes it: adadelta takes 1."""
    first_epoch: int
    """The number of its first epoch; an update counts on."""
    n_epochs: int
    """E"""
    n_pairs: int
    """P"""

    def __post_init__(self) -> None:
        if self.config.lr_warmup > self.n_epochs:
            raise ParameterError(
                f"lr_warmup={self.config.lr_warmup} epochs is longer than a training of "
                f"{self.n_epochs}: lower it, or train longer"
            )

    @property
    def is_constant(self) -> bool:
        """Whether every step has the rate η."""
        return not self.config.has_schedule

    def rates(self, epoch: int, done: int, live: NDArray[np.int32]) -> NDArray[np.float64]:
        """The rates (T,) of the steps with `live` (T,) pairs, after `done` pairs of `epoch`."""
        config, e = self.config, epoch - self.first_epoch
        after = e * self.n_pairs + done + np.cumsum(live, dtype=np.int64)
        x = (after - live) / self.n_pairs
        rate = np.full(len(live), self.base * config.lr_decay**e)
        if config.lr_warmup > 0:
            rate *= np.minimum(1, after / (self.n_pairs * config.lr_warmup))
        rest = self.n_epochs - config.lr_warmup
        s = np.maximum(0, x - config.lr_warmup) / rest if rest > 0 else np.zeros_like(x)
        return rate * self._shape(s)

    def _shape(self, s: NDArray[np.float64]) -> NDArray[np.float64]:
        f = self.config.lr_final
        if self.config.lr_schedule == "linear":
            return f + (1 - f) * (1 - s)
        if self.config.lr_schedule == "cosine":
            return f + (1 - f) * (1 + np.cos(np.pi * s)) / 2
        return np.ones_like(s)
