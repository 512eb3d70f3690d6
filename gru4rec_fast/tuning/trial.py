"""One trial of a search: train with its settings, and evaluate after each epoch."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import optuna

from gru4rec_fast.data.sessions import Sessions, load_sessions
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.tuning.module import model_class

if TYPE_CHECKING:
    from gru4rec_fast.training.report import BlockReport, EpochReport
    from gru4rec_fast.tuning.space import Space

OURS = "gru4rec_fast"
PRESET, ERROR, EPOCH = "preset", "error", "epoch"
"""Attributes of a trial: which published settings it tries, why it failed, its best epoch."""


@dataclass(frozen=True)
class Task:
    """What all trials share; a process gets it pickled."""

    train: Any
    """A log, as for `GRU4Rec.fit`."""
    valid: Any
    """The log on which settings are compared."""
    space: Space
    fixed: dict[str, Any]
    """Parameters that do not vary."""
    metric: str
    cutoff: int
    mode: str
    """What a tie with the target counts."""
    keys: dict[str, Any] = field(default_factory=dict)
    """How the logs are read."""
    device: str | None = None
    module: str = OURS
    """The importable module whose class GRU4Rec is trained."""
    deadline: float | None = None
    """When a trial that runs ends with what it has (time.time())."""

    @property
    def measure(self) -> str:
        """The optimised figure, as 'recall@20'."""
        return f"{self.metric}@{self.cutoff}"

    @property
    def is_ours(self) -> bool:
        """Whether the class is that of this library, whose `fit` calls back."""
        return self.module == OURS

    def is_late(self) -> bool:
        """Whether the time is used up."""
        return self.deadline is not None and time.time() >= self.deadline

    def model(self, params: dict[str, Any]) -> Any:
        """An untrained model."""
        gru = model_class(self.module)(device=self.device)
        gru.set_params(**params)
        return gru

    def value(self, gru: Any, valid: Any) -> float:
        """The optimised figure of a model; `valid` is the log or its sessions."""
        keys = {} if isinstance(valid, Sessions) else self.keys
        found = evaluate(
            gru, valid, [self.cutoff], mode=self.mode, groups={}, lists=False, n_bootstrap=0, **keys
        )
        return float(found.values[self.metric][self.cutoff])


def run_trial(task: Task, trial: optuna.Trial) -> float:
    """Train the trial's settings; returns the best figure of its epochs.

    Published settings are not pruned: the result has to be held against their best.

    Raises:
        optuna.TrialPruned: its epochs are worse than those of other trials, its loss is not
            finite, or time is over before its first epoch is.
    """
    curve: list[float] = []
    pruned = False
    try:
        gru = task.model(task.fixed | task.space.suggest(trial))
        valid: list[Sessions] = []

        def on_epoch(report: EpochReport) -> bool:
            nonlocal pruned
            if not valid:
                items = gru.data_iterator.itemidmap
                valid.append(load_sessions(task.valid, itemidmap=items, **task.keys))
            curve.append(task.value(gru, valid[0]))
            trial.report(curve[-1], report.epoch)
            # Published settings are asked too: others are compared with what has been asked.
            pruned = trial.should_prune() and PRESET not in trial.user_attrs
            return pruned or task.is_late()

        def on_block(_: BlockReport) -> bool:
            return task.is_late()

        ours: dict[str, Any] = {"on_epoch": on_epoch, "on_block": on_block, "progress": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the log: each trial would repeat them
            gru.fit(task.train, **task.keys, **(ours if task.is_ours else {}))
        if not task.is_ours and not gru.error_during_train:
            curve.append(task.value(gru, task.valid))
    except (ParameterError, MemoryError) as error:
        trial.set_user_attr(ERROR, str(error) or "not enough memory")
        raise
    if gru.error_during_train and not curve:
        trial.set_user_attr(ERROR, "the loss became NaN or infinite")
    if pruned or not curve:
        raise optuna.TrialPruned
    best = max(curve)
    if task.is_ours:
        trial.set_user_attr(EPOCH, curve.index(best) + 1)
    return best
