"""Early stopping: training ends when its figure no longer improves; the best weights come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gru4rec_fast.checks import whole_number
from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from gru4rec_fast.training.report import EpochReport

LOSS = "loss"
"""The training loss as the figure: the lower the better. All other figures are the opposite."""


class EarlyStopping:
    """Follows one figure over the epochs.

    Args:
        metric: 'loss' (training loss), or the name of a validation figure, as 'recall@20'.
        patience: epochs without a better figure after which training ends; None for never.
        restore_best: whether to keep a copy of the weights of the best epoch for `restore`.
    """

    def __init__(self, metric: str, patience: int | None, restore_best: bool) -> None:
        self.metric = metric
        self.patience = patience
        self.restore_best = restore_best
        self.best: float | None = None
        self.best_epoch = 0
        self.epochs_since_best = 0
        self.best_weights: dict[str, Tensor] = {}

    def update(self, report: EpochReport, weights: Mapping[str, Tensor]) -> bool:
        """Take in an epoch and its weights; returns True if training should end.

        A figure equal to the best is no improvement.
        """
        figure = report.loss if self.metric == LOSS else report.validation[self.metric]
        better = self.best is None or (
            figure < self.best if self.metric == LOSS else figure > self.best
        )
        if better:
            self.best, self.best_epoch, self.epochs_since_best = figure, report.epoch, 0
            if self.restore_best:
                self.best_weights = {name: w.detach().clone() for name, w in weights.items()}
        else:
            self.epochs_since_best += 1
        return self.patience is not None and self.epochs_since_best >= self.patience

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Write the weights of the best epoch into `weights`, where they were kept."""
        for name, best in self.best_weights.items():
            weights[name].copy_(best)

    def to_json(self) -> dict[str, Any]:
        """The position without the weights, as JSON values."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "epochs_since_best": self.epochs_since_best,
        }

    def load(self, position: Mapping[str, Any], weights: dict[str, Tensor]) -> None:
        """Go on from a position of `to_json` and the best weights at that time."""
        self.best = position["best"]
        self.best_epoch = position["best_epoch"]
        self.epochs_since_best = position["epochs_since_best"]
        self.best_weights = weights


def stopping_of(
    validation: object, metric: str, patience: int | None, restore_best: bool
) -> EarlyStopping | None:
    """What follows the figure of a `fit` with these arguments; None if it has nothing to follow.

    Raises:
        ParameterError: `patience` is no whole number of at least 1, or `metric` needs sessions to
            validate on.
    """
    if patience is not None:
        patience = whole_number("patience", patience)
    if validation is None:
        if patience is None:
            return None
        if metric != LOSS:
            raise ParameterError(
                f"patience={patience} with metric={metric!r} needs sessions to validate on: pass "
                "validation= (a log, or a share as 0.1), or metric='loss' for the training loss"
            )
    return EarlyStopping(metric, patience, restore_best)
