"""The difference of two results on the same predictions, with paired intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from gru4rec_fast.evaluation.figures import Figures, Intervals, cell, rows_of, text_table


@dataclass(frozen=True)
class Difference:
    """One result minus another."""

    values: Figures
    """Each metric by cut-off: the mean difference of a prediction."""
    intervals: Intervals
    """(low, high) of each; empty without resamples, or with a single session."""
    n_predictions: int
    n_sessions: int
    confidence: float
    n_bootstrap: int

    def interval(self, name: str, k: int) -> tuple[float, float] | None:
        """The interval of a figure, None where it has none."""
        return self.intervals.get(name, {}).get(k)

    def to_frame(self) -> pd.DataFrame:
        """A row for each metric and cut-off: metric, cutoff, value, low, high."""
        return pd.DataFrame(rows_of(self.values, self.intervals)).astype(
            {"low": "float64", "high": "float64"}
        )

    def to_dict(self) -> dict[str, Any]:
        """What JSON holds."""
        return {"values": self.values, "intervals": self.intervals}

    def __str__(self) -> str:
        names = ("recall", "mrr", "ndcg")
        table = text_table(
            ["", *names],
            [
                [
                    f"@{k}",
                    *(cell(self.values[name][k], self.interval(name, k), "+") for name in names),
                ]
                for k in self.values["recall"]
            ],
        )
        return (
            f"difference over {self.n_predictions:,} predictions in {self.n_sessions:,} sessions\n"
            f"[low, high]: {self.confidence:.0%} paired bootstrap intervals "
            f"({self.n_bootstrap:,} resamples)\n\n{table}"
        )
