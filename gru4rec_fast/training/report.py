"""What an epoch or a block did, and the errors that end a training."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did; `loss` is the mean of the step losses weighted by their live lanes."""

    epoch: int
    """Counted from 1, through `partial_fit` too."""
    loss: float
    seconds: float
    """Of training, without validation and without the saving of checkpoints."""
    minibatches: int
    events: int
    validation: dict[str, float] = field(default_factory=dict)
    """Figures on the validation sessions, as 'recall@20' -> 0.5; empty without validation."""
    learning_rate: float | None = None
    """Of the epoch's last step; None for epochs of versions that did not record it."""

    def __str__(self) -> str:
        """The line that scripts around GRU4Rec parse."""
        return (
            f"Epoch{self.epoch} --> loss: {self.loss:.6f} \t({self.seconds:.2f}s) "
            f"\t[{self.minibatches / self.seconds:.2f} mb/s | {self.events / self.seconds:.0f} e/s]"
        )


@dataclass(frozen=True)
class BlockReport:
    """What the running epoch did up to the end of a block of steps."""

    epoch: int
    loss: float
    """Mean over the epoch so far, as in `EpochReport`."""
    seconds: float
    minibatches: int
    """Steps of the epoch so far."""
    events: int
    step: int = 0
    """Steps of all epochs so far."""
    learning_rate: float = 0.0
    """Of the block's last step."""


class StopTraining(Exception):  # noqa: N818 - a request, not an error
    """Raise it in `on_epoch` or `on_block` to end the training; `fit` returns as usual."""


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite; training stopped within the block that showed it."""

    def __init__(self, epoch: int, minibatch: int, loss: float) -> None:
        self.epoch = epoch
        self.minibatch = minibatch
        super().__init__(
            f"the loss is {loss} at mini-batch {minibatch} of epoch {epoch}: training stopped. "
            "Lower learning_rate or momentum, or, with bpr-max, raise bpreg"
        )
