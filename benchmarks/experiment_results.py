"""Figures of an experiment: means over seeds, and paired differences, with 95 % intervals.

The interval of a mean is that of Student's t over seeds. That of a difference or of a gain also
contains the chance of which sessions are in the test log: it combines the two halves as
√(seeds² + sessions²). Nothing is corrected for making many comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from benchmarks.experiment_plan import Params, Records, Study

CONFIDENCE = 0.95
METRICS = ("recall", "mrr")


@dataclass(frozen=True)
class Mean:
    """A mean over n seeds with its interval; with one seed the interval is infinite."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """The mean of one or more values."""
        n, value = len(values), float(np.mean(values))
        if n == 1:
            return cls(value, -np.inf, np.inf, 1)
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / n**0.5)
        return cls(value, value - half, value + half, n)

    def widened(self, half: float) -> Mean:
        """The same mean with the half of another, independent interval combined in."""
        both = float(np.hypot(self.high - self.value, half))
        return Mean(self.value, self.value - both, self.value + both, self.n)

    def text(self, sign: str = "", unit: str = "4f") -> str:
        """'0.1234 ± 0.0010', the latter half of the interval; without it for a single seed."""
        value = format(self.value, f"{sign}.{unit}")
        return value if self.n == 1 else f"{value} ± {format(self.high - self.value, '.' + unit)}"


class Results:
    """The records of a study, by what was trained."""

    def __init__(self, study: Study, records: Records) -> None:
        self.study, self.records = study, records

    def found(self, data: str, params: Params) -> list[dict[str, Any]]:
        """The records of a level with its chosen learning rate, also of those that diverged."""
        runs = self.study.tests(data, params, range(1, 1 + self.study.seeds), self.records)
        return [self.records[run.key] for run in runs if run.key in self.records]

    def by_seed(self, data: str, params: Params, metric: str) -> dict[int, float]:
        """Seed -> the figure at 20 on the test log, of trainings that did not diverge."""
        return {
            record["run"]["seed"]: record[metric]
            for record in self.found(data, params)
            if record[metric] is not None
        }

    def mean(self, data: str, params: Params, metric: str) -> Mean | None:
        """The mean over seeds; None without a figure."""
        values = list(self.by_seed(data, params, metric).values())
        return Mean.of(values) if values else None

    def difference(self, data: str, a: Params, b: Params, metric: str) -> Mean | None:
        """The mean of a minus b over the seeds that both have; None without such a seed."""
        of_a, of_b = (self.by_seed(data, params, metric) for params in (a, b))
        seeds = [seed for seed in of_a if seed in of_b]
        if not seeds:
            return None
        sums_a, sums_b = (
            session_sums((r for r in self.found(data, p) if r["run"]["seed"] in seeds), metric)
            for p in (a, b)
        )
        counts = session_sums(self.found(data, a), "predictions")
        half = sessions_half(sums_a - sums_b, counts)
        return Mean.of([of_a[seed] - of_b[seed] for seed in seeds]).widened(half)

    def baseline(self, data: str, name: str) -> dict[str, Any] | None:
        """The record of a baseline."""
        return self.records.get(self.study.baselines(data)[name].key)

    def gain(self, data: str, params: Params, baseline: str, metric: str) -> Mean | None:
        """The mean over seeds of the figure over that of a baseline, minus 1."""
        record = self.baseline(data, baseline)
        values = self.by_seed(data, params, metric).values()
        if record is None or not values or not record[metric]:
            return None
        of_model = session_sums(self.found(data, params), metric)
        half = sessions_half(of_model, session_sums([record], metric))
        return Mean.of([value / record[metric] - 1 for value in values]).widened(half)


def session_sums(records: Iterable[dict[str, Any]], name: str) -> NDArray[np.float64]:
    """(S,) a figure summed over each test session: the mean over trainings that did not diverge."""
    rows = [r["by_session"][name] for r in records if r["recall"] is not None]
    mean: NDArray[np.float64] = np.mean(np.array(rows, dtype=np.float64), axis=0)
    return mean


def sessions_half(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Half the 95 % interval of the ratio Σx / Σy over S sessions (linearised, Cochran 1977)."""
    n = len(x)
    if n == 1:
        return np.inf
    residuals = x - x.sum() / y.sum() * y
    error = np.sqrt(n / (n - 1) * (residuals**2).sum()) / abs(y.sum())
    return float(stats.norm.ppf((1 + CONFIDENCE) / 2) * error)
