"""How far a training has come, and what others do at its epochs and blocks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gru4rec_fast.errors import ParameterError
from gru4rec_fast.training.history import History
from gru4rec_fast.training.report import BlockReport, EpochReport, StopTraining

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast.training.early_stopping import EarlyStopping


@dataclass
class Progress:
    """The position of a training, between two blocks, and the sums of its running epoch."""

    epoch: int = 1
    """The running epoch, or the next one between epochs; counted from 1."""
    first_step: int = 0
    """The number of this epoch's first step, counted through all epochs."""
    steps: int = 0
    """Steps of this epoch that are done."""
    events: int = 0
    loss_sum: float = 0.0
    """Sum over the steps of this epoch: loss times live lanes."""
    seconds: float = 0.0
    learning_rate: float | None = None
    """Of the last step."""
    finished: bool = False
    """Whether all epochs are done, or early stopping has ended the training."""
    history: History = field(default_factory=History)

    def next_epoch(self, report: EpochReport) -> None:
        """Append the report of the epoch that has ended, and stand at the start of the next."""
        self.history.append(report)
        self.epoch += 1
        self.first_step += self.steps
        self.steps = self.events = 0
        self.loss_sum = self.seconds = 0.0

    def to_json(self) -> dict[str, Any]:
        """JSON values; a float keeps all its bits."""
        return {**asdict(self), "history": self.history.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Progress:
        """The position of `to_json`."""
        return cls(**{**values, "history": History.from_json(values["history"])})


class Saver(Protocol):
    """What saves a training that is to be resumed."""

    def is_due(self, step: int) -> bool:
        """Whether to save after that many steps, counted through all epochs."""

    def save(self, progress: Progress) -> None:
        """Save the training as it is now."""


@dataclass(frozen=True)
class Hooks:
    """What is done at the end of a block and of an epoch; None for nothing."""

    on_epoch: Callable[[EpochReport], object] | None = None
    on_block: Callable[[BlockReport], object] | None = None
    validate: Callable[[], dict[str, float]] | None = None
    stopping: EarlyStopping | None = None
    saver: Saver | None = None

    def __post_init__(self) -> None:
        for name, report in (("on_epoch", "EpochReport"), ("on_block", "BlockReport")):
            callback = getattr(self, name)
            if callback is not None and not callable(callback):
                article = "an" if report[0] == "E" else "a"
                raise ParameterError(
                    f"{name} is {callback!r}; expected a function of {article} {report}"
                )


def asks_to_stop(callback: Callable[[Any], object] | None, report: object) -> bool:
    """Call back; whether it returns True or raises StopTraining. Other values mean nothing."""
    if callback is None:
        return False
    try:
        answer = callback(report)
    except StopTraining:
        return True
    return isinstance(answer, bool | np.bool_) and bool(answer)
