"""Bootstrap intervals over sessions (Efron & Tibshirani, An Introduction to the Bootstrap, 13.3).

Predictions of one session are not independent, sessions are: a resample draws whole sessions, with
replacement. A figure is then a weighted sum of session sums, where the weight of a session is how
often it was drawn, so a resample costs S sessions and not P predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast.checks import whole_number
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.evaluation.figures import Figures, Intervals

RESAMPLES_AT_A_TIME = 16
"""Enough for a matrix product, few enough that the weights of 10^6 sessions take 128 MB."""


@dataclass(frozen=True, eq=False)
class SessionSums:
    """F figures summed over the predictions of each of S sessions."""

    counts: NDArray[np.float64]
    """(S,) predictions of each session."""
    sums: NDArray[np.float64]
    """(S, F)."""

    def minus(self, other: SessionSums) -> SessionSums:
        """The sums of the differences, prediction by prediction, of two results."""
        return SessionSums(self.counts, self.sums - other.sums)

    def means(self) -> NDArray[np.float64]:
        """(F,) the figures: means over all predictions."""
        means: NDArray[np.float64] = self.sums.sum(axis=0) / self.counts.sum()
        return means

    def intervals(
        self, n_bootstrap: int, confidence: float, seed: int
    ) -> NDArray[np.float64] | None:
        """Percentile intervals (2, F), low and high; None without resamples or a second session.

        The same sessions are drawn for all figures, and for all results with as many sessions.
        """
        n = len(self.counts)
        if n_bootstrap == 0 or n < 2:
            return None
        rng = np.random.default_rng(seed)
        columns = np.column_stack([self.sums, self.counts])
        means = np.empty((n_bootstrap, self.sums.shape[1]))
        for first in range(0, n_bootstrap, RESAMPLES_AT_A_TIME):
            resamples = min(RESAMPLES_AT_A_TIME, n_bootstrap - first)
            weights = np.stack(
                [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(resamples)]
            )
            totals = weights.astype(np.float64) @ columns
            means[first : first + resamples] = totals[:, :-1] / totals[:, -1:]
        tail = (1 - confidence) / 2
        return np.quantile(means, [tail, 1 - tail], axis=0)


def with_intervals(
    sums: SessionSums, cutoffs: list[int], n_bootstrap: int, confidence: float, seed: int
) -> tuple[Figures, Intervals]:
    """The metrics and their intervals, from sums whose columns are metric by metric."""
    means, ends = sums.means(), sums.intervals(n_bootstrap, confidence, seed)
    column = {
        (name, k): m * len(cutoffs) + c
        for m, name in enumerate(METRICS)
        for c, k in enumerate(cutoffs)
    }
    values = {name: {k: float(means[column[name, k]]) for k in cutoffs} for name in METRICS}
    if ends is None:
        return values, {}
    low, high = ends.tolist()
    return values, {
        name: {k: (low[column[name, k]], high[column[name, k]]) for k in cutoffs}
        for name in METRICS
    }


def check_bootstrap(n_bootstrap: int, confidence: float) -> None:
    """Refuse what gives no intervals.

    Raises:
        ParameterError: no whole number of at least 0, or a confidence outside (0, 1).
    """
    whole_number("n_bootstrap", n_bootstrap, at_least=0)
    if isinstance(confidence, bool) or not isinstance(confidence, float) or not 0 < confidence < 1:
        raise ParameterError(f"confidence is {confidence!r}; expected a number in (0, 1), as 0.95")
