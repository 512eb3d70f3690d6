"""What a search found: the best settings, all trials, and what mattered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
import pandas as pd
from optuna.trial import TrialState

from gru4rec_fast.errors import ParameterError
from gru4rec_fast.tuning import picture
from gru4rec_fast.tuning.study import failed, plain
from gru4rec_fast.tuning.trial import EPOCH, ERROR, PRESET

if TYPE_CHECKING:
    import os

    from gru4rec_fast.evaluation.comparison import Comparison
    from gru4rec_fast.tuning.trial import Task

FORMAT = "gru4rec-fast settings 1"


@dataclass(frozen=True)
class Found:
    """One trial's settings and their figure on the validation log."""

    number: int
    params: dict[str, Any]
    """For `GRU4Rec(**params)`; `n_epochs` is the epoch of the figure."""
    value: float
    preset: str | None = None
    """Name of the published settings that it tried."""


@dataclass(frozen=True)
class Tuned:
    """The result of a search."""

    measure: str
    """The optimised figure, as 'recall@20'."""
    best: Found
    best_preset: Found | None
    """The published settings with the best figure, None where none was trained to the end."""
    trials: pd.DataFrame
    """A row a trial: number, state, value, epochs, seconds, preset, error, then the parameters."""
    curves: dict[int, dict[int, float]]
    """Trial -> epoch -> figure."""
    importance: dict[str, float]
    """Parameter -> share of the figure's variance that it explains; empty for too few trials."""
    model: Any = None
    """A GRU4Rec trained with the best settings."""
    final: dict[str, float] | None = None
    """Its figures on the validation log, as 'recall@5' -> 0.5."""
    comparison: Comparison | None = None
    """On the test log: the best published settings first, the tuned ones second."""

    @property
    def best_params(self) -> dict[str, Any]:
        """The best settings, for `GRU4Rec(**params)`."""
        return self.best.params

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draw the trials, their epochs and the importance of the parameters, as PNG.

        Raises:
            ImportError: matplotlib is not installed; the message names the extra.
        """
        picture.draw(self, path)

    def to_json(self) -> str:
        """The best settings, as `gru4rec-fast train --params FILE` reads them."""
        about = {
            "measure": self.measure,
            "value": self.best.value,
            "trial": self.best.number,
            "preset": self.best.preset,
            "importance": self.importance,
        }
        return json.dumps({"format": FORMAT, "params": self.best.params, **about}, indent=2)

    def __str__(self) -> str:
        states = self.trials["state"].value_counts()
        counts = ", ".join(
            f"{states[name]} {words}"
            for name, words in (
                ("complete", "to the end"),
                ("pruned", "stopped early"),
                ("fail", "failed"),
            )
            if name in states
        )
        lines = [
            f"{len(self.trials)} trials: {counts}",
            f"best {self.measure} on the validation log: {self.best.value:.6f} "
            f"(trial {self.best.number}{f', {self.best.preset}' if self.best.preset else ''})",
            *(f"  {name} = {value}" for name, value in self.best.params.items()),
        ]
        if self.best_preset is not None and self.best_preset.number != self.best.number:
            lines.append(
                f"best published settings: {self.best_preset.preset} with "
                f"{self.best_preset.value:.6f} (trial {self.best_preset.number})"
            )
        if self.importance:
            lines.append("importance (share of the explained variance):")
            lines += [f"  {name:<18} {share:.2f}" for name, share in self.importance.items()]
        if self.final:
            measured = " ".join(f"{name} {value:.6f}" for name, value in self.final.items())
            lines.append(f"the best settings, trained again, on the validation log: {measured}")
        if self.comparison is not None:
            lines += ["", "on the test log:", str(self.comparison), "", self.verdict()]
        return "\n".join(lines)

    def verdict(self) -> str:
        """A sentence: the tuned settings against the best published ones on the test log."""
        if self.comparison is None or len(self.comparison.results) < 2:
            return "The best settings are published ones."
        metric, _, k = self.measure.partition("@")
        difference = self.comparison.differences["tuned"]
        value, ends = difference.values[metric][int(k)], difference.interval(metric, int(k))
        if ends is None:
            return f"{self.measure} of tuned minus {self.comparison.first}: {value:+.4f}"
        low, high = ends
        side = "above" if low > 0 else "below" if high < 0 else "not different from"
        return (
            f"{self.measure} of tuned minus {self.comparison.first}: {value:+.4f} "
            f"[{low:+.4f}, {high:+.4f}]: {side} it at {difference.confidence:.0%}"
        )


def result_of(study: optuna.Study, task: Task) -> Tuned:
    """The result of a study.

    Raises:
        ParameterError: no trial has a figure; the last failure is told.
    """
    complete = [t for t in study.trials if t.state == TrialState.COMPLETE]
    if not complete:
        errors = [t.user_attrs[ERROR] for t in study.trials if ERROR in t.user_attrs]
        raise ParameterError(
            f"none of the {len(study.trials)} trials has a figure: "
            + (
                f"the last error is: {errors[-1]}"
                if errors
                else "time was over before an epoch was; give more time, or smaller layers"
            )
        )
    best = max(complete, key=_rank)
    presets = [t for t in complete if t.user_attrs.get(PRESET)]
    return Tuned(
        measure=task.measure,
        best=_found(best, task),
        best_preset=_found(max(presets, key=_rank), task) if presets else None,
        trials=_table(study),
        curves={t.number: dict(t.intermediate_values) for t in study.trials},
        importance=_importance(study, len(complete)),
    )


def _rank(trial: optuna.trial.FrozenTrial) -> tuple[float, int]:
    # The earlier of two equal ones: published settings come first.
    return (trial.value or 0.0, -trial.number)


def _found(trial: optuna.trial.FrozenTrial, task: Task) -> Found:
    params = task.fixed | {n: plain(v) for n, v in trial.params.items()}
    if EPOCH in trial.user_attrs:
        params["n_epochs"] = trial.user_attrs[EPOCH]
    return Found(trial.number, params, float(trial.value or 0.0), trial.user_attrs.get(PRESET))


def _table(study: optuna.Study) -> pd.DataFrame:
    rows = [
        {
            "number": t.number,
            "state": t.state.name.lower(),
            "value": t.value if t.state == TrialState.COMPLETE else None,
            "epochs": len(t.intermediate_values),
            "seconds": t.duration.total_seconds() if t.duration else None,
            "preset": t.user_attrs.get(PRESET),
            "error": t.user_attrs.get(ERROR),
            **{name: plain(value) for name, value in t.params.items()},
        }
        for t in study.trials
        if t.state in (TrialState.COMPLETE, TrialState.PRUNED) or failed(t)
    ]
    return pd.DataFrame(rows).astype({"value": "float64", "seconds": "float64"})


def _importance(study: optuna.Study, n_complete: int) -> dict[str, float]:
    if n_complete < 2:
        return {}
    try:
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    except (ValueError, RuntimeError):  # too few trials, or all with the same values
        return {}
    return {name: float(share) for name, share in found.items()}
