"""Figures of an experiment over seeds: means, paired differences and their intervals.

Intervals are those of Student's t at 95 %, over seeds. They don't contain the chance of which
sessions are in the test log. Nothing is corrected for making many comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        values = [of_a[seed] - of_b[seed] for seed in of_a if seed in of_b]
        return Mean.of(values) if values else None

    def baseline(self, data: str, name: str) -> dict[str, Any] | None:
        """The record of a baseline."""
        return self.records.get(self.study.baselines(data)[name].key)

    def gain(self, data: str, params: Params, baseline: str, metric: str) -> Mean | None:
        """The mean over seeds of the figure over that of a baseline, minus 1."""
        record = self.baseline(data, baseline)
        values = self.by_seed(data, params, metric).values()
        if record is None or not values or not record[metric]:
            return None
        return Mean.of([value / record[metric] - 1 for value in values])
