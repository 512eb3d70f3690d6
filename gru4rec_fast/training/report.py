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

    def __init__(
        self, epoch: int, minibatch: int, loss: float, *, step: int, lanes: int, largest: str
    ) -> None:
        self.epoch = epoch
        self.minibatch = minibatch
        self.step = step
        super().__init__(
            f"the loss is {loss} at mini-batch {minibatch} of epoch {epoch} (step {step} of all, "
            f"{lanes} live lanes): training stopped. Lower learning_rate or momentum, or, with "
            f"bpr-max, raise bpreg. The largest parameters after it: {largest}"
        )


class NonFiniteWeightsError(NonFiniteLossError):
    """A state that was to be saved held NaN or infinity, although its losses are finite."""

    def __init__(self, epoch: int, step: int, largest: str, kept: str) -> None:
        self.epoch, self.step = epoch, step
        ArithmeticError.__init__(
            self,
            f"a parameter is NaN or infinite after step {step} of all (epoch {epoch}): training "
            f"stopped, and this state was not saved; {kept}. Lower learning_rate or momentum, or, "
            f"with bpr-max, raise bpreg. The largest parameters: {largest}",
        )
