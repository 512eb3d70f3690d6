"""What an evaluation found: figures with intervals, how they were counted, breakdowns."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gru4rec_fast.errors import DataError, ParameterError
from gru4rec_fast.evaluation.bootstrap import SessionSums, check_bootstrap, with_intervals
from gru4rec_fast.evaluation.difference import Difference
from gru4rec_fast.evaluation.figures import (
    Figures,
    Intervals,
    cell,
    figures_of_json,
    intervals_of_json,
    rows_of,
    text_table,
)
from gru4rec_fast.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIST_FIGURES = ("coverage", "gini", "popularity")
FORMAT = "gru4rec-fast evaluation 1"
UNKNOWN = {"drop": "left out", "miss": "counted as misses"}


@dataclass(frozen=True)
class Group:
    """The predictions of one group of a breakdown."""

    kind: str
    """'position', 'length' or 'support'."""
    label: str
    """'3-4', '10+', ...; 'unknown' for targets that the model does not know."""
    predictions: int
    values: Figures
    """Each metric by cut-off, the mean over the group's predictions."""


@dataclass(frozen=True)
class Evaluation:
    """Figures of one evaluation; SPEC section 8 defines them."""

    targets: str
    """'next': the next item is relevant; 'all': all items in the rest of the session are."""
    mode: str
    """What an equal score of another item counts."""
    unknown: str
    """'drop': events of unknown items are left out; 'miss': they are predictions that fail."""
    n_items: int
    """V, the items of the model's catalogue."""
    n_predictions: int
    n_sessions: int
    """Sessions with a prediction."""
    dropped_events: int
    """Events of items that the model does not know: they are never its input."""
    misses: int
    """Predictions that cannot be right; 0 with `unknown='drop'`."""
    values: Figures
    """Every figure by name, then by cut-off."""
    intervals: Intervals
    """(low, high) of those that are a mean over predictions; empty where there are none."""
    confidence: float
    n_bootstrap: int
    seed: int
    groups: list[Group]
    """Breakdowns; the groups of a kind hold each prediction once."""
    digest: str
    """The same for two evaluations exactly when both predict the same events."""
    ranks: NDArray[np.float64] = field(
        default_factory=lambda: np.empty(0), compare=False, repr=False
    )
    """(predictions,) rank of each target, infinite for a miss, in the order of the sessions'
    events; empty with `targets='all'` and after `from_json`."""
    sums: SessionSums | None = field(default=None, compare=False, repr=False)
    """What intervals and differences are made of; None after `from_json`."""

    @property
    def recall(self) -> dict[int, float]:
        """Recall@K: share of the relevant items that rank at or above K (the hit rate)."""
        return self.values["recall"]

    @property
    def mrr(self) -> dict[int, float]:
        """MRR@K: mean of 1 / rank of the first relevant item, 0 where it ranks below K."""
        return self.values["mrr"]

    @property
    def ndcg(self) -> dict[int, float]:
        """NDCG@K with binary relevance."""
        return self.values["ndcg"]

    @property
    def map(self) -> dict[int, float]:
        """MAP@K."""
        return self.values["map"]

    @property
    def precision(self) -> dict[int, float]:
        """Precision@K: relevant items that rank at or above K, over K."""
        return self.values["precision"]

    @property
    def coverage(self) -> dict[int, float] | None:
        """Share of the catalogue in any list of K; None without lists."""
        return self.values.get("coverage")

    @property
    def gini(self) -> dict[int, float] | None:
        """Gini index of how often items are in lists of K; None without lists."""
        return self.values.get("gini")

    @property
    def popularity(self) -> dict[int, float] | None:
        """Mean support of list entries over that of targets; None without lists or support."""
        return self.values.get("popularity")

    def interval(self, name: str, k: int) -> tuple[float, float] | None:
        """The interval of a figure, None where it has none."""
        return self.intervals.get(name, {}).get(k)

    def compare(
        self,
        other: Evaluation,
        *,
        n_bootstrap: int = 1000,
        confidence: float = 0.95,
        seed: int = 42,
    ) -> Difference:
        """This result minus another on the same log, with paired bootstrap intervals.

        Both results are resampled by the same sessions, so what is hard for both cancels.

        Raises:
            ParameterError: the two do not count the same predictions alike, one was read from
                JSON, or a bad `n_bootstrap` or `confidence`.
        """
        check_bootstrap(n_bootstrap, confidence)
        for name in ("targets", "unknown", "mode"):
            mine, its = getattr(self, name), getattr(other, name)
            if mine != its:
                raise ParameterError(
                    f"one result has {name}={mine!r}, the other {name}={its!r}; expected two that "
                    f"count alike: evaluate both with the same {name}"
                )
        if self.digest != other.digest:
            raise ParameterError(
                f"the results are of different events ({self.n_predictions} predictions and "
                f"{other.n_predictions}); expected the same log. Where the models do not know the "
                "same items, evaluate both with unknown='miss'"
            )
        if self.sums is None or other.sums is None:
            raise ParameterError(
                "a result that was read from JSON holds no sums of sessions, so there is no paired "
                "interval; expected two results of evaluate()"
            )
        cutoffs = [k for k in self.recall if k in other.recall]
        if not cutoffs:
            raise ParameterError(
                f"the results have cut-offs {list(self.recall)} and {list(other.recall)}; expected "
                "one in common: evaluate both with the same cutoffs"
            )
        paired = self._columns(cutoffs).minus(other._columns(cutoffs))
        values, intervals = with_intervals(paired, cutoffs, n_bootstrap, confidence, seed)
        return Difference(
            values=values,
            intervals=intervals,
            n_predictions=self.n_predictions,
            n_sessions=self.n_sessions,
            confidence=confidence,
            n_bootstrap=n_bootstrap,
        )

    def _columns(self, cutoffs: list[int]) -> SessionSums:
        """The sums of every metric at some of the cut-offs."""
        assert self.sums is not None  # noqa: S101 - compare() has refused it
        mine = list(self.recall)
        columns = [m * len(mine) + mine.index(k) for m in range(len(METRICS)) for k in cutoffs]
        return SessionSums(self.sums.counts, self.sums.sums[:, columns])

    def to_frame(self) -> pd.DataFrame:
        """A row for each figure: group, label, predictions, metric, cutoff, value, low, high.

        The rows of the whole have the group 'all' and an empty label; `low` and `high` are NaN
        where a figure has no interval.
        """
        rows = [
            {"group": "all", "label": "", "predictions": self.n_predictions, **row}
            for row in rows_of(self.values, self.intervals)
        ]
        for group in self.groups:
            head = {"group": group.kind, "label": group.label, "predictions": group.predictions}
            rows += [head | row for row in rows_of(group.values, {})]
        return pd.DataFrame(rows).astype({"low": "float64", "high": "float64"})

    def to_dict(self) -> dict[str, Any]:
        """What JSON holds: all but `ranks` and `sums`."""
        plain = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("ranks", "sums", "groups")
        }
        return {"format": FORMAT, **plain, "groups": [dataclasses.asdict(g) for g in self.groups]}

    def to_json(self) -> str:
        """The figures, settings and breakdowns as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """The result that `to_json` wrote; without ranks, and it cannot be compared.

        Raises:
            DataError: it is no such text.
        """
        try:
            read = json.loads(text)
            if read.pop("format") != FORMAT:
                raise ValueError("another format")
            read["values"] = figures_of_json(read["values"])
            read["intervals"] = intervals_of_json(read["intervals"])
            read["groups"] = [
                Group(**group | {"values": figures_of_json(group["values"])})
                for group in read["groups"]
            ]
            return cls(**read)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"the text is no evaluation ({error}); expected what Evaluation.to_json() wrote"
            ) from error

    def __str__(self) -> str:
        # With one relevant item, MAP is MRR and precision is recall / K.
        shown = METRICS if self.targets == "all" else ("recall", "mrr", "ndcg")
        listed = [name for name in LIST_FIGURES if name in self.values]
        table = text_table(
            ["", *shown, *listed],
            [
                [
                    f"@{k}",
                    *(
                        cell(self.values[name][k], self.interval(name, k))
                        for name in (*shown, *listed)
                    ),
                ]
                for k in self.recall
            ],
        )
        return "\n\n".join([self.settings(), table, *self._breakdown()])

    def settings(self) -> str:
        """How the figures were counted, a line for each choice."""
        lines = [
            f"{self.n_predictions:,} predictions in {self.n_sessions:,} sessions, "
            f"{self.n_items:,} items",
            f"targets: {self.targets}; ties: {self.mode}; unknown items: {UNKNOWN[self.unknown]} "
            f"({self.dropped_events:,} events, {self.misses:,} misses)",
        ]
        if self.intervals:
            lines.append(
                f"[low, high]: {self.confidence:.0%} bootstrap intervals over sessions "
                f"({self.n_bootstrap:,} resamples, seed {self.seed})"
            )
        else:
            lines.append("no intervals: n_bootstrap is 0, or there is a single session")
        if self.coverage is None:
            lines.append("no coverage, gini, popularity: no lists were made")
        elif self.popularity is None:
            lines.append("no popularity: the training support is not known; pass support=")
        return "\n".join(lines)

    def _breakdown(self) -> list[str]:
        if not self.groups:
            return []
        k = max(self.recall)
        shown = ("recall", "mrr", "ndcg")
        rows = [
            [
                f"{group.kind} {group.label}",
                f"{group.predictions:,}",
                *(cell(group.values[name][k], None) for name in shown),
            ]
            for group in self.groups
        ]
        return [text_table(["", "predictions", *(f"{name}@{k}" for name in shown)], rows)]
