"""What an epoch did, and the error of a loss that is not finite."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did; `loss` is the mean of the step losses weighted by their live lanes."""

    epoch: int
    loss: float
    seconds: float
    minibatches: int
    events: int

    def __str__(self) -> str:
        """The line that scripts around GRU4Rec parse."""
        return (
            f"Epoch{self.epoch} --> loss: {self.loss:.6f} \t({self.seconds:.2f}s) "
            f"\t[{self.minibatches / self.seconds:.2f} mb/s | {self.events / self.seconds:.0f} e/s]"
        )


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite; training stopped within the block that showed it."""

    def __init__(self, epoch: int, minibatch: int, loss: float) -> None:
        self.epoch = epoch
        self.minibatch = minibatch
        super().__init__(
            f"the loss is {loss} at mini-batch {minibatch} of epoch {epoch}: training stopped. "
            "Lower learning_rate or momentum, or, with bpr-max, raise bpreg"
        )
